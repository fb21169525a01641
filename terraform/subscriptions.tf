# Subscriptions of our own instead of event triggers: deadline, retries, dead letters and expiry are in our hands.

resource "google_pubsub_subscription" "push" {
  for_each = local.topic_uses

  name                       = "${local.functions[each.value.function].service}.${each.value.topic}"
  topic                      = local.topic_ids[each.value.topic]
  ack_deadline_seconds       = 600       # also how long a push may take
  message_retention_duration = "604800s" # 7 days

  expiration_policy {
    ttl = "" # never: a topic is quiet all summer
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = local.topic_ids[local.dead_letter_topic]
    max_delivery_attempts = 20
  }

  push_config {
    push_endpoint = google_cloudfunctions2_function.functions[each.value.function].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloudfunctions2_function.functions[each.value.function].service_config[0].uri
    }
  }

  # Without the right to be called, the first deliveries would fail.
  depends_on = [google_cloud_run_service_iam_binding.invokers, google_service_account_iam_member.push_tokens]
}

locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent

  depends_on = [google_pubsub_topic.topics] # the agent comes with the first use of Pub/Sub
}
