variable "project_id" {
  description = "Google Cloud project that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens and starts with a letter."
  }
}

variable "region" {
  description = "Region of functions, schedules, the source bucket and the image repository."
  type        = string
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like us-central1."
  }
}

variable "location" {
  description = "BigQuery location of datasets and jobs: US, EU or a region. It cannot be changed later."
  type        = string
  default     = "US"

  validation {
    condition     = can(regex("^(US|EU|[a-z]+-[a-z]+[0-9]+)$", var.location))
    error_message = "A BigQuery location is US, EU or a region such as us-central1."
  }
}

variable "mode" {
  description = "report: functions look and report, and start nothing. heal: they also fill the gaps."
  type        = string
  default     = "report"

  validation {
    condition     = contains(["report", "heal"], var.mode)
    error_message = "The mode is report or heal."
  }
}

variable "paused" {
  description = "Stop every schedule, and the alarms about schedules that do not run."
  type        = bool
  default     = false
}

variable "name_prefix" {
  description = "First part of the names of functions, accounts, subscriptions and schedules."
  type        = string
  default     = "gapless"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,9}[a-z0-9]$", var.name_prefix))
    error_message = "The prefix has 3 to 11 lower-case letters, digits and hyphens: an account's name has 30 at most."
  }
}

variable "labels" {
  description = "Labels of every resource that can carry some, beside app = gapless."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for key, value in var.labels :
      can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "Labels have up to 63 lower-case letters, digits, '_' and '-'; a key starts with a letter."
  }
}

variable "bundle_dir" {
  description = "Folder that is deployed, as `python -m deploy.bundle` writes it; relative to this folder or absolute."
  type        = string
  default     = "../build/bundle"
}

variable "invokers" {
  description = "Who may call the functions by hand, as IAM members: user:, group: or serviceAccount: and an address."
  type        = set(string)
  default     = []

  validation {
    condition = alltrue([
      for member in var.invokers : can(regex("^(user|group|serviceAccount):[^@:\\s]+@[^@:\\s]+$", member))
    ])
    error_message = "Functions are private: name users, groups or service accounts, never allUsers or a whole domain."
  }
}

variable "publishers" {
  description = "Who else publishes to a topic, as IAM members per topic; for instance the scrapers of phase 2."
  type        = map(set(string))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.publishers), local.topics)) == 0
    error_message = "Only topics of the pipeline and the catalogue can be named."
  }

  validation {
    condition = alltrue([
      for member in flatten([for members in values(var.publishers) : tolist(members)]) :
      can(regex("^(user|group|serviceAccount):[^@:\\s]+@[^@:\\s]+$", member))
    ])
    error_message = "Name users, groups or service accounts, never allUsers or a whole domain."
  }
}

variable "existing_datasets" {
  description = "Datasets that are there already: functions get roles on them; they and their tables stay as they are."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.existing_datasets, local.all_datasets)) == 0
    error_message = "Only datasets that the pipeline declares can be named."
  }
}

variable "existing_topics" {
  description = "Topics that are there already: they get subscriptions and publishers; the topics are left alone."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.existing_topics, local.topics)) == 0
    error_message = "Only topics of the pipeline and the catalogue can be named."
  }
}

variable "filled_secrets" {
  description = "Secrets that hold a version. A function gets only these: with an empty one it could not start."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.filled_secrets, local.secrets)) == 0
    error_message = "Only secrets that the catalogue names can be filled."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete tables. To destroy everything, apply once with false first."
  type        = bool
  default     = true
}

variable "ingress" {
  description = "Where calls may come from; callers need an identity token in either case."
  type        = string
  default     = "ALLOW_ALL"

  validation {
    condition     = contains(["ALLOW_ALL", "ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"], var.ingress)
    error_message = "Ingress is ALLOW_ALL, ALLOW_INTERNAL_ONLY or ALLOW_INTERNAL_AND_GCLB."
  }
}

variable "alerting" {
  description = "Who is told (e-mail addresses, ids of existing notification channels), and when."
  type = object({
    emails                 = optional(set(string), [])
    channels               = optional(set(string), [])
    oldest_unacked_minutes = optional(number, 60)
    errors_per_hour        = optional(number, 5)
  })
  default = {}

  validation {
    condition     = alltrue([for email in var.alerting.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "An e-mail address has one @ and a domain."
  }

  validation {
    condition = alltrue([
      for id in var.alerting.channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", id))
    ])
    error_message = "A channel's id looks like projects/P/notificationChannels/N."
  }

  validation {
    condition     = var.alerting.oldest_unacked_minutes >= 15 && var.alerting.errors_per_hour >= 0
    error_message = "A message may wait for at least 15 minutes (one delivery takes up to 10); errors are not negative."
  }
}
