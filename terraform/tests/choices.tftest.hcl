# What the variables change, and what they refuse.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_service_account" {
    defaults = { name = "projects/gapless-test/serviceAccounts/mock@gapless-test.iam.gserviceaccount.com" }
  }
}

variables {
  project_id = "gapless-test"
  bundle_dir = "tests/fixture"
}

run "it_reports_unless_told_to_heal" {
  command = plan

  assert {
    condition = alltrue([
      for f in google_cloudfunctions2_function.functions :
      f.service_config[0].environment_variables["GAPLESS_REPORT_ONLY"] == "true"
    ])
    error_message = "The first apply would change data."
  }

  assert {
    condition     = output.mode == "report"
    error_message = "The mode is not told."
  }
}

run "it_heals_when_told" {
  command = plan

  variables {
    mode = "heal"
  }

  assert {
    condition = alltrue([
      for f in google_cloudfunctions2_function.functions :
      f.service_config[0].environment_variables["GAPLESS_REPORT_ONLY"] == "false"
      && f.service_config[0].environment_variables["GAPLESS_PROJECT"] == "gapless-test"
      && f.service_config[0].environment_variables["GAPLESS_LOCATION"] == "US"
      && f.service_config[0].environment_variables["GAPLESS_COMMIT"] == "fixture"
    ])
    error_message = "The functions are not told their mode, project, location and commit."
  }
}

run "empty_secrets_stop_no_function" {
  command = plan

  assert {
    condition = alltrue([
      for f in google_cloudfunctions2_function.functions : length(f.service_config[0].secret_environment_variables) == 0
    ])
    error_message = "A function asks for a secret that has no version."
  }

  assert {
    condition     = output.empty_secrets == tolist(["gapless-slack-webhook"])
    error_message = "Nobody is told which secret is empty."
  }
}

run "filled_secrets_reach_their_function_only" {
  command = plan

  variables {
    filled_secrets = ["gapless-slack-webhook"]
  }

  assert {
    condition = {
      for name, f in google_cloudfunctions2_function.functions : name => [
        for s in f.service_config[0].secret_environment_variables : "${s.key}=${s.secret}"
      ] if length(f.service_config[0].secret_environment_variables) > 0
    } == { gap_detector = ["GAPLESS_SLACK_WEBHOOK=gapless-slack-webhook"] }
    error_message = "A secret is missing, or reaches a function that did not ask."
  }
}

run "pausing_stops_schedules_and_their_alarms" {
  command = plan

  variables {
    paused = true
  }

  assert {
    condition = (
      alltrue([for job in google_cloud_scheduler_job.schedules : job.paused])
      && !anytrue([for policy in google_monitoring_alert_policy.heartbeats : policy.enabled])
    )
    error_message = "Something goes on, or cries."
  }
}

run "alerts_reach_those_who_are_named" {
  command = plan

  variables {
    alerting = { emails = ["a@example.com"], channels = ["projects/p/notificationChannels/1"], errors_per_hour = 2.5 }
  }

  assert {
    condition = (
      keys(google_monitoring_notification_channel.emails) == ["a@example.com"]
      && google_monitoring_notification_channel.emails["a@example.com"].type == "email"
      && output.alerts_go_to == tolist(["a@example.com", "projects/p/notificationChannels/1"])
    )
    error_message = "Somebody is not told."
  }

  assert {
    condition = endswith(
      google_monitoring_alert_policy.errors.conditions[0].condition_prometheus_query_language[0].query, "> 2.5",
    )
    error_message = "Errors are told at another number than was asked."
  }
}

run "a_plan_can_be_read_without_a_bundle" {
  command = plan

  variables {
    bundle_dir = "tests/no-bundle"
  }

  assert {
    condition     = length(google_cloudfunctions2_function.functions) > 0
    error_message = "There is no plan."
  }
}

run "nothing_is_deployed_without_a_bundle" {
  command = apply # to mocks

  variables {
    bundle_dir = "tests/no-bundle"
  }

  expect_failures = [google_storage_bucket_object.source]
}

run "everybody_is_refused" {
  command = plan

  variables {
    invokers = ["allUsers"]
  }

  expect_failures = [var.invokers]
}

run "everybody_with_an_account_is_refused" {
  command = plan

  variables {
    invokers = ["allAuthenticatedUsers"]
  }

  expect_failures = [var.invokers]
}

run "public_publishers_are_refused" {
  command = plan

  variables {
    publishers = { gapless-run = ["allUsers"] }
  }

  expect_failures = [var.publishers]
}

run "unknown_names_are_refused" {
  command = plan

  variables {
    existing_datasets = ["nba_rwa"]
    existing_topics   = ["nope"]
    filled_secrets    = ["nope"]
    mode              = "fix"
  }

  expect_failures = [var.existing_datasets, var.existing_topics, var.filled_secrets, var.mode]
}
