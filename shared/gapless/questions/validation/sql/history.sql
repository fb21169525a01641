-- The best complete outcome of every target; of a date before @today, the best of those measured after that date.
-- One row per processor and run; its dates as JSON lists of days since 1970, keys, and seconds since 1970.

SELECT
  processor_name,
  backfill_run_id,
  STRING_AGG(
    CONCAT(
      '[', CAST(UNIX_DATE(analysis_date) AS STRING),
      ',', CAST(actual_count AS STRING),
      ',', CAST(UNIX_SECONDS(processed_at) AS STRING), ']'
    ),
    ','
  ) AS dates
FROM (
  SELECT processor_name, backfill_run_id, processed_at, analysis_date, actual_count
  FROM {outcomes}
  WHERE analysis_date BETWEEN @first AND @last
    AND status = 'complete'
    AND actual_count > 0
    AND (analysis_date >= @today OR DATE(processed_at, @zone) > analysis_date)
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY processor_name, analysis_date ORDER BY actual_count DESC, processed_at DESC
  ) = 1
)
GROUP BY processor_name, backfill_run_id
