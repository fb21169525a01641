-- What is said of the runs for dates from @first to @last, by trackers and by the ledger's own outcomes.
--
-- A tracker writes a row when a run begins and another when it ends; rows of one run id, processor and date are one run.
-- It ended if any of them says so, and well if any of them says that, whatever a clean-up wrote later. The words that
-- trackers use are @began, @good and @bad; a run that began after @before may still be at work.

WITH entries AS (
  SELECT
    processor_name,
    data_date,
    started_at,
    records_processed,
    IFNULL(run_id, IFNULL(CAST(started_at AS STRING), CAST(processed_at AS STRING))) AS run,
    IFNULL(LOWER(status), '') IN UNNEST(@began) AS begins,
    IFNULL(LOWER(status), '') IN UNNEST(@good) AS is_good,
    IFNULL(LOWER(status), '') IN UNNEST(@bad) AS is_bad,
    IFNULL(processed_at, started_at) AS noted_at
  FROM {reported_runs}
  WHERE data_date BETWEEN @first AND @last OR data_date IS NULL
),
one_run AS (
  SELECT
    processor_name,
    data_date,
    run,
    LOGICAL_OR(is_good) AS is_good,
    LOGICAL_OR(is_bad) AS is_bad,
    NOT LOGICAL_AND(begins) AS has_ended,
    IFNULL(MIN(IFNULL(started_at, noted_at)) < @before, TRUE) AS is_old,
    MAX(IF(begins, NULL, records_processed)) AS records,
    IFNULL(MAX(IF(is_good, noted_at, NULL)), MAX(IF(begins, NULL, noted_at))) AS ended_at,
    IFNULL(MAX(IF(is_bad, noted_at, NULL)) > MAX(IF(is_good, noted_at, NULL)), FALSE) AS is_called_failed
  FROM entries
  GROUP BY processor_name, data_date, run
),
told AS (
  SELECT
    'tracker' AS teller,
    processor_name,
    data_date AS day,
    ARRAY_AGG(
      IF(NOT has_ended, 'never ended', IF(is_good, 'success', IF(is_bad, 'failed', 'skipped')))
      ORDER BY ended_at DESC LIMIT 1
    )[OFFSET(0)] AS word,
    ARRAY_AGG(IFNULL(records, -1) ORDER BY ended_at DESC LIMIT 1)[OFFSET(0)] AS records,
    UNIX_MICROS(MAX(ended_at)) AS ended_at,
    COUNT(*) AS runs,
    COUNTIF(has_ended AND NOT (is_good AND IFNULL(records, 1) > 0)) AS empty,
    COUNTIF(NOT has_ended AND is_old) AS never_ended,
    COUNTIF(NOT has_ended AND NOT is_old) AS running,
    COUNTIF(is_called_failed) AS false_failures
  FROM one_run
  GROUP BY processor_name, data_date
  UNION ALL
  SELECT
    'gapless',
    processor_name,
    analysis_date,
    REPLACE(
      ARRAY_AGG(status ORDER BY processed_at DESC, claim_number DESC LIMIT 1)[OFFSET(0)],
      'complete', 'success'
    ),
    ARRAY_AGG(IFNULL(actual_count, -1) ORDER BY processed_at DESC, claim_number DESC LIMIT 1)[OFFSET(0)],
    UNIX_MICROS(MAX(processed_at)),
    COUNT(*),
    COUNTIF(actual_count = 0 AND expected_count > 0),
    0,
    0,
    0
  FROM {outcomes}
  WHERE analysis_date BETWEEN @first AND @last AND status != 'skipped'
  GROUP BY processor_name, analysis_date
),
sorted_out AS (
  SELECT
    *,
    day IS NOT NULL AND word = 'success' AND records != 0
      AND empty + never_ended + running + false_failures = 0 AS is_quiet
  FROM told
)
SELECT
  teller, processor_name, day, word, records, ended_at, runs, empty, never_ended, running, false_failures, '' AS listed
FROM sorted_out
WHERE NOT is_quiet
UNION ALL
-- most of what is said is quiet: one row per processor instead of one per date
SELECT
  teller, processor_name, CAST(NULL AS DATE), 'success', -1, NULL, SUM(runs), 0, 0, 0, 0,
  STRING_AGG(CONCAT(CAST(UNIX_DATE(day) AS STRING), ':', CAST(records AS STRING), ':', CAST(runs AS STRING)), ',')
FROM sorted_out
WHERE is_quiet
GROUP BY teller, processor_name
ORDER BY 1, 2, 3
