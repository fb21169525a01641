locals {
  own_metrics = "logging.googleapis.com/user/${local.metric_prefix}"

  services_filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=starts_with(\"${var.name_prefix}-\")",
  ])
  subscriptions_filter = join(" AND ", [
    "resource.type=\"pubsub_subscription\"",
    "resource.labels.subscription_id=starts_with(\"${var.name_prefix}-\")",
  ])

  # title, filter, aligner, reducer, what to group by
  charts = [
    {
      title   = "Heartbeats: scans and clean-ups that came to their end"
      filter  = "${local.services_filter} AND metric.type=\"${local.own_metrics}_heartbeat\""
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", group = ["resource.label.service_name", "metric.label.action"]
      period  = "3600s"
    },
    {
      title   = "Errors in the logs"
      filter  = "${local.services_filter} AND metric.type=\"${local.own_metrics}_errors\""
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", group = ["resource.label.service_name"]
      period  = "300s"
    },
    {
      title   = "Calls by function and answer"
      filter  = "${local.services_filter} AND metric.type=\"run.googleapis.com/request_count\""
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM"
      group   = ["resource.label.service_name", "metric.label.response_code_class"]
      period  = "300s"
    },
    {
      title   = "Duration of calls, 95th percentile"
      filter  = "${local.services_filter} AND metric.type=\"run.googleapis.com/request_latencies\""
      aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", group = ["resource.label.service_name"]
      period  = "300s"
    },
    {
      title = "Oldest message that is not acknowledged"
      filter = join(" AND ", [
        local.subscriptions_filter, "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"",
      ])
      aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", group = ["resource.label.subscription_id"]
      period  = "300s"
    },
    {
      title = "Messages that wait, dead letters included"
      filter = join(" AND ", [
        local.subscriptions_filter, "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"",
      ])
      aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", group = ["resource.label.subscription_id"]
      period  = "300s"
    },
    {
      title   = "Instances"
      filter  = "${local.services_filter} AND metric.type=\"run.googleapis.com/container/instance_count\""
      aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", group = ["resource.label.service_name"]
      period  = "300s"
    },
    {
      title   = "Bytes that BigQuery bills in the whole project"
      filter  = "resource.type=\"global\" AND metric.type=\"bigquery.googleapis.com/query/scanned_bytes_billed\""
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", group = []
      period  = "3600s"
    },
  ]

  chart_tiles = [
    for index, chart in local.charts : {
      xPos   = index % 2 * 24
      yPos   = floor(index / 2) * 16
      width  = 24
      height = 16
      widget = {
        title = chart.title
        xyChart = {
          dataSets = [{
            plotType = "LINE"
            timeSeriesQuery = {
              timeSeriesFilter = {
                filter = chart.filter
                aggregation = {
                  alignmentPeriod    = chart.period
                  perSeriesAligner   = chart.aligner
                  crossSeriesReducer = chart.reducer
                  groupByFields      = chart.group
                }
              }
            }
          }]
        }
      }
    }
  ]

  log_tile = {
    xPos   = 0
    yPos   = ceil(length(local.charts) / 2) * 16
    width  = 48
    height = 20
    widget = {
      title = "Warnings and errors of the functions"
      logsPanel = {
        filter        = "${local.from_functions} AND severity>=WARNING"
        resourceNames = ["projects/${var.project_id}"]
      }
    }
  }
}

resource "google_monitoring_dashboard" "gapless" {
  dashboard_json = jsonencode({
    displayName  = "Gapless"
    labels       = { for key, value in local.labels : "${key}-${value}" => "" }
    mosaicLayout = { columns = 48, tiles = concat(local.chart_tiles, [local.log_tile]) }
  })

  depends_on = [google_logging_metric.metrics]
}
