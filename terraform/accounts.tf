# One account per function, with the roles that the catalogue asks for. What it may touch stands beside the datasets,
# topics and secrets; only the right to run BigQuery jobs is one of the whole project.

resource "google_service_account" "functions" {
  for_each = local.functions

  account_id   = each.value.service
  display_name = "Gapless: ${each.key}"
  description  = each.value.description

  lifecycle {
    precondition {
      condition     = length(each.value.service) <= 30
      error_message = "An account's name has 30 characters at most; '${each.value.service}' is longer."
    }
  }

  depends_on = [google_project_service.services]
}

locals {
  members = { for name, account in google_service_account.functions : name => "serviceAccount:${account.email}" }
}

resource "google_project_iam_member" "jobs" {
  for_each = local.functions

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = local.members[each.key]
}

resource "google_service_account" "push" {
  account_id   = "${var.name_prefix}-push"
  display_name = "Gapless: delivers messages to functions"
  depends_on   = [google_project_service.services]
}

resource "google_service_account" "scheduler" {
  account_id   = "${var.name_prefix}-scheduler"
  display_name = "Gapless: calls functions on schedule"
  depends_on   = [google_project_service.services]
}
