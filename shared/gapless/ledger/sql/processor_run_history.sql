-- Every outcome, and beside them what other systems' trackers report.

SELECT
  processor_name,
  analysis_date AS data_date,
  backfill_run_id AS run_id,
  IF(status = 'complete', 'success', status) AS status,
  started_at,
  processed_at,
  CONCAT('phase_', CAST(phase AS STRING)) AS phase,
  actual_count AS records_processed,
  IF(status IN ('partial', 'failed'), IFNULL(failure_category, status), NULL) AS failure_category,
  IF(status = 'skipped', error_message, NULL) AS skip_reason,
  claim_number AS retry_attempt,
  error_message AS errors
FROM {outcomes}
UNION ALL
SELECT
  processor_name,
  data_date,
  run_id,
  status,
  started_at,
  processed_at,
  phase,
  records_processed,
  CAST(NULL AS STRING),
  CAST(NULL AS STRING),
  CAST(NULL AS INT64),
  CAST(NULL AS STRING)
FROM {reported_runs}
