# One zip for all functions, named by its content: other content is another object, and so a new revision of each.

locals {
  bundle_dir = startswith(var.bundle_dir, "/") ? var.bundle_dir : "${path.module}/${var.bundle_dir}"
  commit     = try(trimspace(file("${local.bundle_dir}/gapless/_commit.txt")), "unknown") # written with the bundle
  is_bundled = fileexists("${local.bundle_dir}/main.py") && fileexists("${local.bundle_dir}/requirements.txt")
}

data "archive_file" "source" {
  type             = "zip"
  output_path      = "${path.root}/.terraform/gapless-source.zip"
  output_file_mode = "0644" # the same zip on every machine
  source_dir       = local.is_bundled ? local.bundle_dir : null
  excludes         = local.is_bundled ? ["**/__pycache__/**", "**/*.pyc"] : null

  dynamic "source" {
    for_each = local.is_bundled ? [] : ["nothing is bundled"] # such a plan can be read, but not applied
    content {
      filename = "main.py"
      content  = "raise SystemExit('${source.value}')\n"
    }
  }
}

resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:Only the build reads it; data access audit logs record that without a second bucket
  name                        = "${var.project_id}-${var.name_prefix}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # holds nothing that a commit does not give again

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.services]
}

resource "google_storage_bucket_object" "source" {
  name   = "gapless-${data.archive_file.source.output_sha256}.zip"
  bucket = google_storage_bucket.source.name
  source = data.archive_file.source.output_path

  lifecycle {
    create_before_destroy = true

    # The bucket's link is known only once it exists, so a first plan can be read without a bundle.
    precondition {
      condition     = local.is_bundled || google_storage_bucket.source.self_link == ""
      error_message = "There is no bundle in ${var.bundle_dir}: run `python -m deploy.bundle` at the project's root."
    }
  }
}
