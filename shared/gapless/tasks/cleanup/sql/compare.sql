-- A backup, and the rows that it should hold, at one moment.

SELECT
  (SELECT COUNT(*) FROM {backup}) AS copied,
  (SELECT COUNT(*) FROM {table} AS t WHERE {chosen}) AS present
