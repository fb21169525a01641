-- Where the log of claims ends.

SELECT
  MAX(claim_number) AS newest_claim,
  MIN(IF(claim_number = 0, run_id, NULL)) AS generation
FROM {attempts}
