-- What is expected (w) and what is there (h), one row per date, by key intersection.

SELECT
  IFNULL(w.day, h.day) AS day,
  COUNTIF(w.day IS NOT NULL) AS expected,
  COUNTIF(w.day IS NOT NULL AND h.day IS NOT NULL) AS covered,
  {totals}
FROM (
  SELECT * FROM (
    {wanted}
  )
  {chosen}
) AS w
FULL JOIN (
  {actual}
) AS h ON {same_key}
{beside}
GROUP BY 1
