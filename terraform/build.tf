# Who builds the images, and where they are kept. Without an account of its own a build runs as the project's default
# compute account, which is often an editor of everything.

locals {
  # Cloud Functions copies the zip into a bucket of this name before it builds.
  build_buckets = [
    "gcf-v2-sources-${data.google_project.this.number}-${var.region}",
    google_storage_bucket.source.name,
  ]
}

resource "google_service_account" "build" {
  account_id   = "${var.name_prefix}-build"
  display_name = "Gapless: builds the functions"
  depends_on   = [google_project_service.services]
}

resource "google_project_iam_member" "build_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = "serviceAccount:${google_service_account.build.email}"
}

resource "google_project_iam_member" "build_source" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = "serviceAccount:${google_service_account.build.email}"

  condition {
    title       = "function-sources"
    description = "Only the buckets that hold the source of functions"
    expression = join(" || ", [
      for bucket in local.build_buckets : "resource.name.startsWith('projects/_/buckets/${bucket}')"
    ])
  }
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:Images hold code of this repository only; Google's own encryption at rest is enough
  repository_id = var.name_prefix
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the functions"

  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 5
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s" # 30 days
    }
  }

  depends_on = [google_project_service.services]
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.writer"
  member     = "serviceAccount:${google_service_account.build.email}"
}
