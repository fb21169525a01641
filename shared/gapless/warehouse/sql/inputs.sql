-- The versions of an upstream table's partitions that the dates read.

SELECT d, v.version
FROM UNNEST(@dates) AS d
JOIN (
  SELECT {day} AS day, BIT_XOR({version}) AS version
  FROM {table}
  WHERE {day} BETWEEN DATE_SUB(@first, INTERVAL {lookback} DAY) AND @last
  GROUP BY day
) AS v ON v.day >= DATE_SUB(d, INTERVAL {lookback} DAY) AND {own_day}
