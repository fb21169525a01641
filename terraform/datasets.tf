resource "google_bigquery_dataset" "datasets" {
  #checkov:skip=CKV_GCP_81:Public sports statistics; Google's own encryption at rest is enough
  for_each = setsubtract(local.all_datasets, var.existing_datasets)

  dataset_id                  = each.key
  location                    = var.location
  delete_contents_on_destroy  = each.key == local.staging
  default_table_expiration_ms = each.key == local.staging ? 86400000 : null # nothing staged is needed for a day

  depends_on = [google_project_service.services]
}

locals {
  dataset_ids = {
    for name in local.all_datasets : name => (
      contains(var.existing_datasets, name) ? name : google_bigquery_dataset.datasets[name].dataset_id
    )
  }
}

resource "google_bigquery_dataset_iam_member" "functions" {
  for_each = local.dataset_uses

  dataset_id = local.dataset_ids[each.value.dataset]
  role       = each.value.role
  member     = local.members[each.value.function]
}
