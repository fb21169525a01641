resource "google_pubsub_topic" "topics" {
  #checkov:skip=CKV_GCP_83:Messages name dates and processors, no personal data; Google's own encryption is enough
  for_each = setsubtract(local.topics, var.existing_topics)

  name       = each.key
  depends_on = [google_project_service.services]
}

locals {
  topic_ids = {
    for name in local.topics : name => (
      contains(var.existing_topics, name)
      ? "projects/${var.project_id}/topics/${name}"
      : google_pubsub_topic.topics[name].id
    )
  }
}

resource "google_pubsub_topic_iam_member" "functions" {
  for_each = local.publications

  topic  = local.topic_ids[each.value.topic]
  role   = "roles/pubsub.publisher"
  member = local.members[each.value.function]
}

resource "google_pubsub_topic_iam_member" "others" {
  for_each = merge([
    for topic, members in var.publishers : {
      for member in members : "${topic}/${member}" => { topic = topic, member = member }
    }
  ]...)

  topic  = local.topic_ids[each.value.topic]
  role   = "roles/pubsub.publisher"
  member = each.value.member
}
