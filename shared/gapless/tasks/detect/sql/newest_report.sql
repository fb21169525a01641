-- The newest report from @oldest to @yesterday with its gaps. A report without gaps has its line in the log only.

WITH newest AS (
  SELECT MAX(day) AS day
  FROM (
    SELECT MAX(reported_on) AS day
    FROM {gap_history}
    WHERE reported_on BETWEEN @oldest AND @yesterday
    UNION ALL
    SELECT MAX(day) FROM (
      {reported_days}
    ) WHERE day BETWEEN @oldest AND @yesterday
  )
)
SELECT newest.day AS reported_on, h.processor_name, h.target_date
FROM newest
LEFT JOIN (
  SELECT reported_on, processor_name, target_date
  FROM {gap_history}
  WHERE reported_on BETWEEN @oldest AND @yesterday
) AS h ON h.reported_on = newest.day
WHERE newest.day IS NOT NULL
