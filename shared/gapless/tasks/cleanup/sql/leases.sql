-- The claims on dates of a processor that have no outcome yet and may still be worked on.

SELECT a.target_date, IFNULL(a.reason, '') AS reason, a.lease_until, a.owner
FROM {attempts} AS a
LEFT JOIN {outcomes} AS o
  ON o.processor_name = a.processor_name
  AND o.analysis_date = a.target_date
  AND o.claim_number = a.claim_number
WHERE a.processor_name = @processor
  AND a.target_date >= @first
  AND a.target_date < @before
  AND a.lease_until > @now
  AND o.claim_number IS NULL
ORDER BY a.target_date, a.claim_number
