-- One row for a table: its dates as JSON lists of days since 1970, rows, and the counts of its columns.

SELECT
  '{name}' AS name,
  STRING_AGG(CONCAT('[', day, ',', n_rows, ',', counts, ']'), ',') AS dates
FROM (
  SELECT
    CAST(UNIX_DATE({day}) AS STRING) AS day,
    CAST(COUNT(*) AS STRING) AS n_rows,
    TO_JSON_STRING([{counts}]) AS counts
  FROM {table}
  WHERE {day} BETWEEN @first AND @last
  GROUP BY {day}
)
