# Messages that were delivered 20 times in vain, or that a function could not understand. They wait here for a person.

resource "google_pubsub_subscription" "dead_letters" {
  name                       = local.dead_letter_topic
  topic                      = local.topic_ids[local.dead_letter_topic]
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s" # 31 days, the longest there is

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = local.topic_ids[local.dead_letter_topic]
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent

  depends_on = [google_pubsub_topic.topics]
}

# To move a message, the agent acknowledges it where it came from.
resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = google_pubsub_subscription.push

  subscription = each.value.id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
