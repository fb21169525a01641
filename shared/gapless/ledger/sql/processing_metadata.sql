-- What attempts came to. A run that a person stopped before it came to a target has left an outcome `skipped`: it ends
-- the claim, and is neither an attempt nor a failure.

SELECT
  processor_name,
  backfill_run_id AS run_id,
  analysis_date,
  expected_count AS {expected_count},
  actual_count AS {actual_count},
  completeness_pct AS coverage_pct,
  data_source,
  IF(status = 'complete', 'COMPLETE', 'INCOMPLETE') AS status,
  processed_at AS created_at,
  upcoming_count,
  upcoming_pct,
  source_reason
FROM {outcomes}
WHERE status != 'skipped'
