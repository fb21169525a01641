# Few alerts, each about something that the next scan does not mend by itself, each with what to do.

resource "google_monitoring_notification_channel" "emails" {
  for_each = var.alerting.emails

  display_name = "Gapless: ${each.key}"
  type         = "email"
  user_labels  = local.labels
  labels       = { email_address = each.key }

  depends_on = [google_project_service.services]
}

locals {
  channels = concat(
    [for channel in google_monitoring_notification_channel.emails : channel.name],
    tolist(var.alerting.channels),
  )

  where = "--location=${var.region} --project=${var.project_id}"

  # Every scheduled function, with the hours after which it should have come to its end again. A day's window is 25
  # hours, because one day a year has so many; the condition holds for an hour more before anyone is told.
  heartbeats = {
    for name in toset([for schedule in local.schedules : schedule.function]) : name => (
      anytrue([for s in local.schedules : split(" ", s.cron)[1] == "*" if s.function == name]) ? 3 : 25
    )
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "Gapless: dead letters"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = "A message waits in ${local.dead_letter_topic}"

    condition_threshold {
      filter = join(" AND ", [
        "resource.type=\"pubsub_subscription\"",
        "resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\"",
        "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = <<-EOT
      A message was delivered 20 times in vain, or a function could not understand it.
      Look: `gcloud pubsub subscriptions pull ${local.dead_letter_topic} --project=${var.project_id} --limit=10`.
      Nothing is lost for good: the next hourly scan looks at the tables, not at messages.
      Add `--auto-ack` to remove what you have read; the alert closes when none are left.
    EOT
  }
}

resource "google_monitoring_alert_policy" "oldest_unacked" {
  display_name          = "Gapless: messages are not processed"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = "A message has waited for ${var.alerting.oldest_unacked_minutes} minutes"

    condition_threshold {
      filter = join(" AND ", [
        "resource.type=\"pubsub_subscription\"",
        "resource.labels.subscription_id=starts_with(\"${var.name_prefix}-\")",
        "resource.labels.subscription_id!=\"${google_pubsub_subscription.dead_letters.name}\"",
        "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = var.alerting.oldest_unacked_minutes * 60
      duration        = "300s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = <<-EOT
      A function answers with errors, or cannot be called. The name of the subscription starts with the function's.
      Look at its logs, and whether its callers may call it: `terraform plan` shows what differs.
    EOT
  }
}

resource "google_monitoring_alert_policy" "errors" {
  display_name          = "Gapless: errors"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = "More than ${var.alerting.errors_per_hour} errors of one function in an hour"

    condition_prometheus_query_language {
      query = format(
        "sum by (service_name) (increase(%s{monitored_resource=\"cloud_run_revision\"}[1h])) > %v",
        local.promql["errors"], var.alerting.errors_per_hour,
      )
      duration                  = "0s"
      evaluation_interval       = "300s"
      disable_metric_validation = true # there is no time series before the first entry
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Look at the function's logs from severity ERROR; `action` names the step, `run_id` the run."
  }

  depends_on = [google_logging_metric.metrics]
}

resource "google_monitoring_alert_policy" "poison_messages" {
  display_name          = "Gapless: messages that nobody understands"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = "A poison message in the last hour"

    condition_prometheus_query_language {
      query = format(
        "sum by (service_name) (increase(%s{monitored_resource=\"cloud_run_revision\"}[1h])) > 0",
        local.promql["poison_messages"],
      )
      duration                  = "0s"
      evaluation_interval       = "300s"
      disable_metric_validation = true
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Somebody publishes what breaks the contract in gapless/messages. It is in the dead letters."
  }

  depends_on = [google_logging_metric.metrics]
}

resource "google_monitoring_alert_policy" "heartbeats" {
  for_each = local.heartbeats

  display_name          = "Gapless: ${each.key} does not run"
  combiner              = "OR"
  severity              = "CRITICAL"
  enabled               = !var.paused
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = "Nothing came to its end in ${each.value} hours"

    # A threshold or absence condition would stay silent about a function that never ran since it was made.
    condition_prometheus_query_language {
      query = format(
        "(sum(increase(%s{monitored_resource=\"cloud_run_revision\", service_name=\"%s\"}[%dh])) or vector(0)) < 0.5",
        local.promql["heartbeat"], local.functions[each.key].service, each.value,
      )
      duration                  = "3600s"
      evaluation_interval       = "600s"
      disable_metric_validation = true
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = <<-EOT
      Gaps are not seen while this lasts. In this order:
      1. Is the schedule there and enabled? `gcloud scheduler jobs list ${local.where}`
      2. What did its last run answer? The logs of ${local.functions[each.key].service}.
      3. Run it by hand: `gcloud scheduler jobs run NAME ${local.where}`.
    EOT
  }

  depends_on = [google_logging_metric.metrics]
}
