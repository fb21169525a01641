# Copy to terraform.tfvars, which git ignores, and change what differs. Only the project is needed.

project_id = "my-project"
region     = "us-central1"
location   = "US"

# report looks and starts nothing; heal fills the gaps too.
mode = "report"

labels = {
  team = "data"
}

# Who may call the functions by hand, beside subscriptions and schedules.
invokers = ["group:data-operators@example.com"]

# Who else announces data.
publishers = {
  nba-phase2-raw-complete = ["serviceAccount:scrapers@my-project.iam.gserviceaccount.com"]
}

# What a running pipeline has already.
existing_datasets = ["nba_raw"]
existing_topics   = ["nba-phase2-raw-complete"]

# After a version was added to each.
filled_secrets = ["gapless-slack-webhook"]

alerting = {
  emails = ["data-alerts@example.com"]
}
