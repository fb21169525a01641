# Who calls whom, which is known only when everything has an address: applied to mocks, nothing is made.

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
  invokers   = ["group:operators@example.com"]
}

run "calls" {
  command = apply

  assert {
    condition = alltrue([
      for key, s in google_pubsub_subscription.push :
      s.push_config[0].push_endpoint
      == google_cloudfunctions2_function.functions[split("/", key)[0]].service_config[0].uri
      && s.push_config[0].oidc_token[0].audience == s.push_config[0].push_endpoint
      && s.push_config[0].oidc_token[0].service_account_email == google_service_account.push.email
      && s.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.topics["gapless-dead-letter"].id
    ])
    error_message = "A subscription calls another function, or under another name."
  }

  assert {
    condition = alltrue([
      for key, job in google_cloud_scheduler_job.schedules :
      job.http_target[0].uri == google_cloudfunctions2_function.functions[split("/", key)[0]].service_config[0].uri
      && job.http_target[0].oidc_token[0].audience == job.http_target[0].uri
      && job.http_target[0].oidc_token[0].service_account_email == google_service_account.scheduler.email
    ])
    error_message = "A schedule calls another function, or under another name."
  }

  assert {
    condition = alltrue([
      for name, f in google_cloudfunctions2_function.functions :
      f.service_config[0].service_account_email == google_service_account.functions[name].email
    ])
    error_message = "A function runs as another account than its own."
  }

  assert {
    condition = alltrue([
      for name, binding in google_cloud_run_service_iam_binding.invokers :
      binding.role == "roles/run.invoker" && toset(binding.members) == toset(concat(
        can(yamldecode(file("../shared/gapless/functions/functions.yaml")).functions[name].topics)
        ? ["serviceAccount:${google_service_account.push.email}"] : [],
        can(yamldecode(file("../shared/gapless/functions/functions.yaml")).functions[name].schedules)
        ? ["serviceAccount:${google_service_account.scheduler.email}"] : [],
        ["group:operators@example.com"],
      ))
    ])
    error_message = "Somebody else may call a function, or somebody who should may not."
  }

  assert {
    condition = (
      toset(keys(google_cloud_run_service_iam_binding.invokers))
      == toset(keys(google_cloudfunctions2_function.functions))
    )
    error_message = "A function has no list of its callers."
  }

  assert {
    condition = alltrue([
      for key, grant in google_bigquery_dataset_iam_member.functions :
      grant.member == "serviceAccount:${google_service_account.functions[split("/", key)[0]].email}"
    ])
    error_message = "A function's role on a dataset went to another account."
  }
}
