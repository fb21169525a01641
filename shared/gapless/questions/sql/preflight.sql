-- The counts of one pair of tables by date: the keys that took place (w), and those that the table about the days to
-- come holds (u). By key intersection, as everywhere: 187 rows of the wrong keys cover nothing.

SELECT
  '{name}' AS name,
  IFNULL(w.day, u.day) AS day,
  COUNTIF(w.day IS NOT NULL) AS expected,
  COUNTIF(w.day IS NOT NULL AND u.day IS NOT NULL) AS in_upcoming,
  IFNULL(SUM(u.n), 0) AS rows_upcoming
FROM (
  SELECT DISTINCT day, {keys} FROM (
    {expected}
  ) WHERE day < @today
) AS w
FULL JOIN (
  SELECT {day} AS day, {keys}, COUNT(*) AS n
  FROM {table}
  WHERE {day} BETWEEN @first AND @last AND {day} < @today
  GROUP BY day, {keys}
) AS u ON {same_key}
GROUP BY 2
