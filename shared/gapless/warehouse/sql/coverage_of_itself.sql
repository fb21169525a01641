-- Where no keys are declared, what is there is what is expected.

SELECT
  day,
  COUNT(*) AS expected,
  COUNT(*) AS covered,
  {totals}
FROM (
  {actual}
)
GROUP BY day
