-- The rows of a table, or of its backup, per date, and what the warehouse calls today.

SELECT {day} AS day, COUNT(*) AS n, CURRENT_DATE(@zone) AS today
FROM {table}
WHERE {day} IS NOT NULL
GROUP BY day
