output "functions" {
  description = "Each function: its service, its address, the account that it runs as."
  value = {
    for name, f in google_cloudfunctions2_function.functions : name => {
      service = f.name
      uri     = f.service_config[0].uri
      account = google_service_account.functions[name].email
    }
  }
}

output "subscriptions" {
  description = "Each push subscription by function and topic."
  value       = { for key, subscription in google_pubsub_subscription.push : key => subscription.name }
}

output "schedules" {
  description = "Each Cloud Scheduler job by function and schedule, to be run by hand or paused."
  value       = { for key, job in google_cloud_scheduler_job.schedules : key => job.name }
}

output "dead_letters" {
  description = "The subscription in which dead letters wait."
  value       = google_pubsub_subscription.dead_letters.name
}

output "empty_secrets" {
  description = "Secrets whose value is still to be added, and then to be named in filled_secrets."
  value       = sort(tolist(setsubtract(local.secrets, var.filled_secrets)))
}

output "alerts_go_to" {
  description = "Who is told about alerts; when it is empty, they are seen only by who looks."
  value       = sort(concat(tolist(var.alerting.emails), tolist(var.alerting.channels)))
}

output "source" {
  description = "The zip that is deployed, named by its content."
  value       = "gs://${google_storage_bucket.source.name}/${google_storage_bucket_object.source.name}"
}

output "mode" {
  description = "Whether the functions only report, or heal."
  value       = var.mode
}
