-- Folds the versions (v) of a source's dates into what a table (t) says that it was built on, or out of it.

UPDATE {table} AS t
SET inputs_hash = t.inputs_hash ^ v.version
FROM (
  SELECT {source_day} AS day, BIT_XOR(row_hash) AS version
  FROM {source}
  WHERE {source_day} IN UNNEST(@days)
  GROUP BY day
) AS v
WHERE t.{day} = v.day
