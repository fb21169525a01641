-- Per date all rows; of those whose keys nobody expects rows, keys, and the key of one.

SELECT
  {day} AS day,
  COUNT(*) AS n,
  COUNTIF(is_extra) AS extra,
  COUNT(DISTINCT IF(is_extra, {key}, NULL)) AS extra_keys,
  MIN(IF(is_extra, {example}, NULL)) AS example
FROM (
  SELECT {columns}, {unexpected} AS is_extra
  FROM {table} AS t
  WHERE t.{day} BETWEEN @first AND @last AND t.{day} IN UNNEST(@days)
)
GROUP BY 1
ORDER BY 1
