# What is made, per entry of the catalogue. Providers are mocked: neither credentials nor a bundle are needed.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project_id = "gapless-test"
  bundle_dir = "tests/fixture"
}

run "functions_and_accounts" {
  command = plan

  assert {
    condition = (
      toset(keys(google_cloudfunctions2_function.functions))
      == toset(keys(yamldecode(file("../shared/gapless/functions/functions.yaml")).functions))
    )
    error_message = "There is not one function per entry of the catalogue."
  }

  assert {
    condition = alltrue([
      for name, f in google_cloudfunctions2_function.functions : f.build_config[0].entry_point == name
    ])
    error_message = "The entry point is not the function's name."
  }

  assert {
    condition = alltrue([
      for f in google_cloudfunctions2_function.functions : f.build_config[0].runtime == "python312"
    ])
    error_message = "A function runs on another Python."
  }

  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.functions : length(f.event_trigger) == 0])
    error_message = "An event trigger drops failures after a day; use a subscription."
  }

  assert {
    condition = alltrue([
      for f in google_cloudfunctions2_function.functions : f.service_config[0].timeout_seconds < 600
    ])
    error_message = "A call may take longer than Pub/Sub waits for it."
  }

  assert {
    condition = (
      toset(keys(google_service_account.functions)) == toset(keys(google_cloudfunctions2_function.functions))
    )
    error_message = "There is not one account per function."
  }

  assert {
    condition = (
      length(distinct([for account in google_service_account.functions : account.account_id]))
      == length(google_cloudfunctions2_function.functions)
    )
    error_message = "Two functions share an account."
  }

  assert {
    condition     = can(regex("^gapless-[0-9a-f]{64}\\.zip$", google_storage_bucket_object.source.name))
    error_message = "The zip is not named by the SHA-256 of its content."
  }
}

run "roles" {
  command = plan

  assert {
    condition = alltrue([
      for grant in google_project_iam_member.jobs : grant.role == "roles/bigquery.jobUser"
    ])
    error_message = "A function has another role in the whole project than running jobs."
  }

  assert {
    condition = {
      for key, grant in google_bigquery_dataset_iam_member.functions : key => grant.role
      } == merge([
        for name, f in yamldecode(file("../shared/gapless/functions/functions.yaml")).functions : merge(
          { for dataset in try(f.reads, []) : "${name}/${dataset}" => "roles/bigquery.dataViewer" },
          { for dataset in try(f.writes, []) : "${name}/${dataset}" => "roles/bigquery.dataEditor" },
        )
    ]...)
    error_message = "Roles on datasets are not those of the catalogue."
  }

  assert {
    condition = toset(keys(google_pubsub_topic_iam_member.functions)) == toset(flatten([
      for name, f in yamldecode(file("../shared/gapless/functions/functions.yaml")).functions :
      [for topic in try(f.publishes, []) : "${name}/${topic}"]
    ]))
    error_message = "Rights to publish are not those of the catalogue."
  }

  assert {
    condition = toset(keys(google_secret_manager_secret_iam_member.readers)) == toset(flatten([
      for name, f in yamldecode(file("../shared/gapless/functions/functions.yaml")).functions :
      [for secret in values(try(f.secrets, {})) : "${name}/${secret}"]
    ]))
    error_message = "Rights to read secrets are not those of the catalogue."
  }

  assert {
    condition     = length(google_project_iam_member.build_source.condition) == 1
    error_message = "The build may read every bucket."
  }
}

run "subscriptions" {
  command = plan

  assert {
    condition = toset(keys(google_pubsub_subscription.push)) == toset(flatten([
      for name, f in yamldecode(file("../shared/gapless/functions/functions.yaml")).functions :
      [for topic in try(f.topics, []) : "${name}/${topic}"]
    ]))
    error_message = "There is not one subscription per topic and function that listens to it."
  }

  assert {
    condition = alltrue([
      for s in google_pubsub_subscription.push : s.ack_deadline_seconds == 600
      && s.expiration_policy[0].ttl == ""
      && s.retry_policy[0].minimum_backoff == "10s" && s.retry_policy[0].maximum_backoff == "600s"
      && s.dead_letter_policy[0].max_delivery_attempts == 20
      && length(s.push_config[0].oidc_token) == 1
    ])
    error_message = "A subscription lacks its deadline, backoff, dead letters, identity or endlessness."
  }

  assert {
    condition = (
      toset(keys(google_pubsub_subscription_iam_member.dead_letters)) == toset(keys(google_pubsub_subscription.push))
    )
    error_message = "The Pub/Sub agent cannot take dead letters from every subscription."
  }

  assert {
    condition = (
      length(google_pubsub_subscription.dead_letters.push_config) == 0
      && google_pubsub_subscription.dead_letters.expiration_policy[0].ttl == ""
      && google_pubsub_subscription.dead_letters.message_retention_duration == "2678400s"
    )
    error_message = "Dead letters are not kept for a person to look at."
  }

  assert {
    condition     = google_service_account_iam_member.push_tokens.role == "roles/iam.serviceAccountTokenCreator"
    error_message = "The Pub/Sub agent cannot make the tokens of its calls."
  }

  assert {
    condition = alltrue([
      for key, s in google_pubsub_subscription.push :
      contains(keys(google_pubsub_topic.topics), split("/", key)[1])
    ])
    error_message = "A subscription listens to a topic that is not made."
  }
}

run "schedules" {
  command = plan

  assert {
    condition = {
      for key, job in google_cloud_scheduler_job.schedules :
      key => [job.schedule, job.time_zone, job.http_target[0].body]
      } == merge([
        for name, f in yamldecode(file("../shared/gapless/functions/functions.yaml")).functions : {
          for key, s in try(f.schedules, {}) : "${name}/${key}" => [s.cron, s.zone, base64encode(jsonencode(s.body))]
        }
    ]...)
    error_message = "Schedules are not those of the catalogue."
  }

  assert {
    condition = alltrue([
      for job in google_cloud_scheduler_job.schedules : job.retry_config[0].retry_count == 3
      && job.attempt_deadline == "570s" && length(job.http_target[0].oidc_token) == 1 && job.paused != true
    ])
    error_message = "A schedule lacks retries, deadline or identity."
  }
}

run "monitoring" {
  command = plan

  assert {
    condition = toset(keys(google_monitoring_alert_policy.heartbeats)) == toset([
      for name, f in yamldecode(file("../shared/gapless/functions/functions.yaml")).functions : name if can(f.schedules)
    ])
    error_message = "A scheduled function may stop without anyone being told."
  }

  assert {
    condition = alltrue([
      for name, policy in google_monitoring_alert_policy.heartbeats :
      strcontains(
        policy.conditions[0].condition_prometheus_query_language[0].query,
        contains(["gap_detector", "upcoming_cleanup"], name) ? "[25h]" : "[3h]",
      )
    ])
    error_message = "A heartbeat's window does not fit its schedule."
  }

  assert {
    condition     = length(google_logging_metric.metrics) == 3
    error_message = "A log-based metric is missing."
  }

  assert {
    condition     = can(jsondecode(google_monitoring_dashboard.gapless.dashboard_json).mosaicLayout.tiles[0].widget)
    error_message = "The dashboard has no tiles."
  }
}
