-- Every acknowledgement that was not withdrawn: the newest row of a processor and range counts.

SELECT processor_name, first_date, last_date, reason, owner, expires_on, acknowledged_at
FROM (
  SELECT * FROM {acknowledged_gaps}
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY processor_name, first_date, last_date ORDER BY acknowledged_at DESC
  ) = 1
)
WHERE NOT withdrawn
ORDER BY processor_name, first_date, last_date
