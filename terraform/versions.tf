terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 9.0"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.5, < 3.0"
    }
  }

  # The bucket is named at init: terraform init -backend-config="bucket=NAME". Its versioning keeps earlier states.
  backend "gcs" {
    prefix = "gapless"
  }
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = local.labels
}
