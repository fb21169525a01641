resource "google_bigquery_table" "tables" {
  #checkov:skip=CKV_GCP_80:Public sports statistics; Google's own encryption at rest is enough
  #checkov:skip=CKV_GCP_121:Protected unless the variable says otherwise, which destroying needs
  for_each = { for id, table in local.all_tables : id => table if !contains(var.existing_datasets, table.dataset) }

  dataset_id          = local.dataset_ids[each.value.dataset]
  table_id            = each.value.name
  schema              = jsonencode(each.value.schema)
  clustering          = length(each.value.cluster) > 0 ? each.value.cluster : null
  deletion_protection = var.deletion_protection

  dynamic "time_partitioning" {
    for_each = each.value.partition == null ? [] : [each.value.partition]
    content {
      type  = "DAY"
      field = time_partitioning.value
    }
  }

  lifecycle {
    precondition {
      condition     = each.value.is_whole
      error_message = "Write the columns of ${each.key} in pipeline.yaml one per line, as those of the other tables."
    }
  }
}
