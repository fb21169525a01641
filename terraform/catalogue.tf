# What shared/gapless/functions/functions.yaml declares, in the shapes that resources need. No resources here.

locals {
  catalogue = yamldecode(file("${path.module}/../shared/gapless/functions/functions.yaml"))

  functions = {
    for name, entry in local.catalogue.functions : name => merge(
      { topics = [], schedules = {}, publishes = [], reads = [], writes = [], secrets = {}, environment = {} },
      local.catalogue.defaults,
      entry,
      { service = "${var.name_prefix}-${replace(name, "_", "-")}" },
    )
  }

  labels = merge({ app = "gapless" }, var.labels)

  dead_letter_topic = "gapless-dead-letter"

  # one per topic and function that listens to it
  topic_uses = merge([
    for name, f in local.functions : {
      for topic in f.topics : "${name}/${topic}" => { function = name, topic = topic }
    }
  ]...)

  # one per schedule of a function
  schedules = merge([
    for name, f in local.functions : {
      for key, schedule in f.schedules : "${name}/${key}" => merge(schedule, { function = name, key = key })
    }
  ]...)

  # one per topic and function that publishes to it
  publications = merge([
    for name, f in local.functions : {
      for topic in f.publishes : "${name}/${topic}" => { function = name, topic = topic }
    }
  ]...)

  # one per dataset and function that touches it; who may write may read
  dataset_uses = merge([
    for name, f in local.functions : merge(
      { for d in f.reads : "${name}/${d}" => { function = name, dataset = d, role = "roles/bigquery.dataViewer" } },
      { for d in f.writes : "${name}/${d}" => { function = name, dataset = d, role = "roles/bigquery.dataEditor" } },
    )
  ]...)

  # one per secret and function that reads it
  secret_uses = merge([
    for name, f in local.functions : {
      for variable, secret in f.secrets : "${name}/${secret}" => { function = name, secret = secret }
    }
  ]...)
  secrets = toset([for use in local.secret_uses : use.secret])
}
