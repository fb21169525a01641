# Metrics that Cloud Logging counts in the functions' structured logs.

locals {
  from_functions = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=(${join(" OR ", [for f in local.functions : "\"${f.service}\""])})",
  ])

  log_metrics = {
    heartbeat = {
      description = "Scans, daily reports and clean-ups that came to their end"
      filter      = "jsonPayload.action=(\"scan_done\" OR \"detector_done\" OR \"cleanup_done\")"
      action      = true
    }
    poison_messages = {
      description = "Messages that no function could understand"
      filter      = "jsonPayload.action=\"poison_message\""
      action      = false
    }
    errors = {
      description = "Log entries of severity ERROR and above"
      filter      = "severity>=ERROR"
      action      = false
    }
  }

  metric_prefix = replace(var.name_prefix, "-", "_")

  # their names in PromQL, whose conditions need no time series to have existed
  promql = {
    for name in keys(local.log_metrics) : name => "logging_googleapis_com:user_${local.metric_prefix}_${name}"
  }
}

resource "google_logging_metric" "metrics" {
  for_each = local.log_metrics

  name        = "${local.metric_prefix}_${each.key}"
  description = each.value.description
  filter      = "${local.from_functions} AND ${each.value.filter}"

  label_extractors = each.value.action ? { action = "EXTRACT(jsonPayload.action)" } : {}

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "INT64"
    unit         = "1"
    display_name = "Gapless: ${each.value.description}"

    dynamic "labels" {
      for_each = each.value.action ? { action = "What came to its end" } : {}
      content {
        key         = labels.key
        value_type  = "STRING"
        description = labels.value
      }
    }
  }

  depends_on = [google_project_service.services]
}
