# Who may call a function: its subscriptions, its schedules, and the people and services that are named. The binding is
# the whole list of them: whoever was given the role by other means, the public included, loses it with the next apply.

locals {
  callers = {
    for name, f in local.functions : name => concat(
      length(f.topics) > 0 ? ["serviceAccount:${google_service_account.push.email}"] : [],
      length(f.schedules) > 0 ? ["serviceAccount:${google_service_account.scheduler.email}"] : [],
      tolist(var.invokers),
    )
  }
}

resource "google_cloud_run_service_iam_binding" "invokers" {
  for_each = { for name, members in local.callers : name => members if length(members) > 0 }

  location = google_cloudfunctions2_function.functions[each.key].location
  service  = google_cloudfunctions2_function.functions[each.key].name
  role     = "roles/run.invoker"
  members  = local.callers[each.key]

  lifecycle {
    # A function that is made anew gets a new service, without the old one's callers.
    replace_triggered_by = [google_cloudfunctions2_function.functions[each.key].id]
  }
}
