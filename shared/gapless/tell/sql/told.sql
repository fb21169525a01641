-- The newest line of every key with a prefix, the number of all lines, and the ledger's generation.

SELECT 'line' AS kind, alert_key, severity, state, UNIX_MICROS(sent_at) AS number, message AS text
FROM (
  SELECT * FROM {alert_log}
  WHERE STARTS_WITH(alert_key, @prefix)
  QUALIFY ROW_NUMBER() OVER (PARTITION BY alert_key ORDER BY sent_at DESC) = 1
)
UNION ALL
SELECT 'lines', '', '', '', COUNT(*), ''
FROM {alert_log}
UNION ALL
SELECT 'head', '', '', '', 0, MIN(IF(claim_number = 0, run_id, NULL))
FROM {attempts}
