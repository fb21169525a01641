-- The outcomes of the days from @first to @last, whose borders are @days, from @since to @until: per day, per source of
-- data and day, the open gaps that the daily reports counted, and the failures with the same words but for numbers.
-- What was done for @upkeep, such as a clean-up, is no run of a processor.

WITH counted AS (
  SELECT o.*, d.day
  FROM {outcomes} AS o
  JOIN UNNEST(@days) AS d ON o.processed_at >= d.begins AND o.processed_at < d.ends
  WHERE o.status != 'skipped' AND IFNULL(o.data_source, '') NOT IN UNNEST(@upkeep)
)
SELECT
  'day' AS kind,
  '' AS name,
  day,
  COUNT(DISTINCT backfill_run_id) AS n,
  COUNTIF(status = 'complete') AS complete,
  COUNTIF(status = 'partial') AS partial,
  COUNTIF(status = 'failed') AS failed,
  AVG(IF(expected_count > 0, completeness_pct, NULL)) AS coverage_pct,
  CAST(NULL AS BOOL) AS permanent,
  '' AS text,
  '' AS category,
  CAST(NULL AS TIMESTAMP) AS first_seen,
  CAST(NULL AS TIMESTAMP) AS last_seen,
  '' AS days,
  '' AS open_days
FROM counted
GROUP BY day
UNION ALL
SELECT
  'source', data_source, day, COUNT(*), NULL, NULL, NULL, NULL, NULL, '', '',
  CAST(NULL AS TIMESTAMP), CAST(NULL AS TIMESTAMP), '', ''
FROM counted
WHERE data_source != ''
GROUP BY data_source, day
UNION ALL
SELECT
  'gaps', '', day, SUM(n), NULL, NULL, NULL, NULL, NULL, '', '',
  CAST(NULL AS TIMESTAMP), CAST(NULL AS TIMESTAMP), '', ''
FROM (
  SELECT reported_on AS day, COUNT(*) AS n
  FROM {gap_history}
  WHERE reported_on BETWEEN @first AND @last
  GROUP BY reported_on
  UNION ALL
  SELECT day, 0
  FROM ({reported_days})
  WHERE day BETWEEN @first AND @last
)
GROUP BY day
UNION ALL
SELECT
  'failure',
  processor_name,
  CAST(NULL AS DATE),
  COUNT(*),
  NULL,
  NULL,
  NULL,
  NULL,
  NOT can_retry,
  ARRAY_AGG(failure_reason ORDER BY created_at DESC LIMIT 1)[OFFSET(0)],
  failure_category,
  MIN(created_at),
  MAX(created_at),
  STRING_AGG(DISTINCT CAST(UNIX_DATE(analysis_date) AS STRING), ','),
  STRING_AGG(DISTINCT IF(resolution_status = 'open', CAST(UNIX_DATE(analysis_date) AS STRING), NULL), ',')
FROM (
  {failures}
)
WHERE created_at >= @since AND created_at < @until
GROUP BY processor_name, can_retry, failure_category, REGEXP_REPLACE(IFNULL(failure_reason, ''), r'[0-9]+', '#')
ORDER BY 1, 3, 2
