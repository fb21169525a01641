# Datasets and tables of the pipeline and of the ledger.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project_id = "gapless-test"
  bundle_dir = "tests/fixture"
}

run "tables" {
  command = plan

  assert {
    condition = toset(keys(google_bigquery_table.tables)) == toset(concat(
      [for p in values(yamldecode(file("../shared/gapless/nba/pipeline.yaml")).processors) : p.table],
      [for name in keys(yamldecode(file("ledger.yaml"))) : "nba_orchestration.${name}"],
    ))
    error_message = "There is not one table per processor and part of the ledger."
  }

  assert {
    condition = alltrue([
      for p in values(yamldecode(file("../shared/gapless/nba/pipeline.yaml")).processors) :
      google_bigquery_table.tables[p.table].time_partitioning[0].field == p.date_column
      && google_bigquery_table.tables[p.table].time_partitioning[0].type == "DAY"
    ])
    error_message = "A table is not partitioned by its date."
  }

  assert {
    condition = (
      google_bigquery_table.tables["nba_raw.odds_api_player_points_props"].clustering
      == tolist(["game_id", "player_lookup", "bookmaker"])
    )
    error_message = "BigQuery cannot cluster by FLOAT64."
  }

  assert {
    condition = jsondecode(google_bigquery_table.tables["nba_exports.date_exports"].schema) == [
      { name = "game_date", type = "DATE", mode = "REQUIRED" },
      { name = "export_type", type = "STRING", mode = "REQUIRED" },
      { name = "record_count", type = "INTEGER", mode = "REQUIRED" },
      { name = "payload", type = "STRING", mode = "REQUIRED" },
      { name = "data_source", type = "STRING", mode = "REQUIRED" },
      { name = "row_hash", type = "INTEGER", mode = "NULLABLE" },
      { name = "inputs_hash", type = "INTEGER", mode = "NULLABLE" },
      { name = "run_id", type = "STRING", mode = "NULLABLE" },
      { name = "processed_at", type = "TIMESTAMP", mode = "NULLABLE" },
    ]
    error_message = "Columns are not in the declared order, with the engine's after them."
  }

  assert {
    condition = contains(
      jsondecode(google_bigquery_table.tables["nba_analytics.player_game_summary"].schema),
      { name = "usage_rate", type = "NUMERIC", mode = "NULLABLE", precision = "5", scale = "1" },
    )
    error_message = "A NUMERIC column lost its precision and scale."
  }

  assert {
    condition     = alltrue([for t in google_bigquery_table.tables : t.deletion_protection])
    error_message = "A table can be deleted by a plan."
  }
}

run "datasets" {
  command = plan

  assert {
    condition = toset(keys(google_bigquery_dataset.datasets)) == toset([
      "nba_raw", "nba_analytics", "nba_precompute", "nba_predictions", "nba_exports",
      "nba_orchestration", "nba_orchestration_staging", "nba_processing", "nba_reference",
    ])
    error_message = "Datasets are not those of tables, ledger, staging and views."
  }

  assert {
    condition = alltrue([
      for name, d in google_bigquery_dataset.datasets :
      name == "nba_orchestration_staging"
      ? d.default_table_expiration_ms == 86400000
      : d.default_table_expiration_ms == null && d.delete_contents_on_destroy != true
    ])
    error_message = "Only what is staged expires, and only that goes with its dataset."
  }

  assert {
    condition     = alltrue([for d in google_bigquery_dataset.datasets : d.location == "US"])
    error_message = "A dataset is in another location than the jobs."
  }
}

run "what_exists_is_left_alone" {
  command = plan

  variables {
    existing_datasets = ["nba_raw"]
    existing_topics   = ["nba-phase2-raw-complete"]
  }

  assert {
    condition = !contains(keys(google_bigquery_dataset.datasets), "nba_raw") && !anytrue([
      for id in keys(google_bigquery_table.tables) : startswith(id, "nba_raw.")
    ])
    error_message = "A dataset that is there would be made again."
  }

  assert {
    condition     = google_bigquery_dataset_iam_member.functions["run_processor/nba_raw"].dataset_id == "nba_raw"
    error_message = "Functions cannot read a dataset that is there."
  }

  assert {
    condition     = !contains(keys(google_pubsub_topic.topics), "nba-phase2-raw-complete")
    error_message = "A topic that is there would be made again."
  }

  assert {
    condition = (
      google_pubsub_subscription.push["phase2_to_phase3/nba-phase2-raw-complete"].topic
      == "projects/gapless-test/topics/nba-phase2-raw-complete"
    )
    error_message = "Nobody listens to a topic that is there."
  }
}
