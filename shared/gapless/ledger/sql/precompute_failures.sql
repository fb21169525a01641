-- The attempts that did not land, and whether a later one did.

SELECT
  processor_name,
  backfill_run_id AS run_id,
  analysis_date,
  CONCAT('coverage_', CAST(analysis_date AS STRING)) AS entity_id,
  'DATE' AS entity_type,
  IFNULL(failure_category, IF(status = 'partial', 'INCOMPLETE_COVERAGE', 'PROCESSING_ERROR')) AS failure_category,
  error_message AS failure_reason,
  NOT IFNULL(permanent, FALSE) AS can_retry,
  status AS failure_type,
  NOT IFNULL(permanent, FALSE) AS is_correctable,
  expected_count AS {expected_count},
  actual_count AS {actual_count},
  IF(EXISTS(
    SELECT 1
    FROM {outcomes} AS later
    WHERE later.processor_name = o.processor_name
      AND later.analysis_date = o.analysis_date
      AND later.status = 'complete'
      AND later.processed_at > o.processed_at
  ), 'resolved', 'open') AS resolution_status,
  processed_at AS created_at
FROM {outcomes} AS o
WHERE status IN ('partial', 'failed')
