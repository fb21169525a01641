-- What the attempts on every target add up to. Reads @first, @last.

SELECT
  a.processor_name,
  a.target_date,
  COUNTIF(
    a.is_counted
    AND IFNULL(o.status != 'skipped', TRUE)
    AND IFNULL(a.claimed_at > done.last_complete, TRUE)
  ) AS attempts,
  COUNTIF(
    a.is_counted
    AND o.status NOT IN ('complete', 'skipped')
    AND IFNULL(a.claimed_at > done.last_complete, TRUE)
  ) AS failures,
  ANY_VALUE(a.newest_inputs) AS inputs_hash,
  MAX(IF(o.status = 'skipped', NULL, IFNULL(o.processed_at, a.claimed_at))) AS last_attempt,
  MAX(done.last_complete) AS last_complete,
  MAX(a.claim_number) AS claim_number,
  ARRAY_AGG(
    IF(o.status IS NULL, a.lease_until, NULL)
    ORDER BY a.claim_number DESC LIMIT 1
  )[OFFSET(0)] AS lease_until,
  ARRAY_AGG(
    IFNULL(o.error_message, IF(o.status IS NULL, a.owner, ''))
    ORDER BY IFNULL(o.status = 'skipped', FALSE), a.claim_number DESC LIMIT 1
  )[OFFSET(0)] AS note
FROM (
  -- other inputs are another matter: only attempts on the newest ones count
  SELECT *, IFNULL(inputs_hash = newest_inputs, newest_inputs IS NULL) AS is_counted
  FROM (
    SELECT *, FIRST_VALUE(inputs_hash) OVER (
      PARTITION BY processor_name, target_date ORDER BY claim_number DESC
    ) AS newest_inputs
    FROM {attempts}
    WHERE target_date BETWEEN @first AND @last
  )
) AS a
LEFT JOIN (
  SELECT
    processor_name,
    analysis_date,
    claim_number,
    ANY_VALUE(status) AS status,
    MAX(processed_at) AS processed_at,
    ANY_VALUE(error_message) AS error_message
  FROM {outcomes}
  WHERE analysis_date BETWEEN @first AND @last
  GROUP BY processor_name, analysis_date, claim_number
) AS o
  ON o.processor_name = a.processor_name
  AND o.analysis_date = a.target_date
  AND o.claim_number = a.claim_number
LEFT JOIN (
  SELECT processor_name, analysis_date, MAX(processed_at) AS last_complete
  FROM {outcomes}
  WHERE analysis_date BETWEEN @first AND @last AND status = 'complete'
  GROUP BY processor_name, analysis_date
) AS done
  ON done.processor_name = a.processor_name
  AND done.analysis_date = a.target_date
GROUP BY a.processor_name, a.target_date
