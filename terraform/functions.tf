resource "google_cloudfunctions2_function" "functions" {
  #checkov:skip=CKV_GCP_124:People call by hand from outside; every call needs an identity token of a named caller
  for_each = local.functions

  name        = each.value.service
  location    = var.region
  description = each.value.description
  labels      = { function = each.key }

  build_config {
    runtime           = "python312"
    entry_point       = each.key # the bundle's main.py defines every function under its name
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    available_memory                 = "${each.value.memory_mb}Mi"
    available_cpu                    = tostring(each.value.cpu)
    timeout_seconds                  = each.value.timeout_seconds
    min_instance_count               = each.value.min_instances
    max_instance_count               = each.value.max_instances
    max_instance_request_concurrency = each.value.concurrency
    ingress_settings                 = var.ingress
    all_traffic_on_latest_revision   = true
    service_account_email            = google_service_account.functions[each.key].email

    environment_variables = merge(each.value.environment, {
      GAPLESS_PROJECT     = var.project_id
      GAPLESS_LOCATION    = var.location
      GAPLESS_REPORT_ONLY = tostring(var.mode == "report")
      GAPLESS_COMMIT      = local.commit
      LOG_EXECUTION_ID    = "true" # the platform sets it; undeclared, every plan would remove it
      THREADS             = tostring(each.value.concurrency)
    })

    dynamic "secret_environment_variables" {
      for_each = { for key, secret in each.value.secrets : key => secret if contains(var.filled_secrets, secret) }
      content {
        key        = secret_environment_variables.key
        project_id = var.project_id
        secret     = google_secret_manager_secret.secrets[secret_environment_variables.value].secret_id
        version    = "latest" # read when an instance starts
      }
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_source,
    google_secret_manager_secret_iam_member.readers,
  ]
}
