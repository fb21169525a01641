resource "google_cloud_scheduler_job" "schedules" {
  for_each = local.schedules

  name             = "${local.functions[each.value.function].service}-${replace(each.value.key, "_", "-")}"
  region           = var.region
  description      = local.functions[each.value.function].description
  schedule         = each.value.cron
  time_zone        = each.value.zone
  paused           = var.paused
  attempt_deadline = "${min(1800, local.functions[each.value.function].timeout_seconds + 30)}s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
    max_backoff_duration = "600s"
    max_doublings        = 4
  }

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.functions[each.value.function].service_config[0].uri
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode(each.value.body))

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = google_cloudfunctions2_function.functions[each.value.function].service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_service_iam_binding.invokers]
}
