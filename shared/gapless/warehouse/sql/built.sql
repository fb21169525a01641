-- A processor's rows for @dates, cast to their declared types, with both hashes.

WITH gapless_inputs AS (
  SELECT d AS read_for, BIT_XOR(version) AS inputs_hash
  FROM (
    {inputs}
  )
  GROUP BY d
),
gapless_rows AS (
{query}
)
SELECT r.*, {row_hash} AS row_hash
FROM (
  SELECT
    {casts},
    IFNULL(i.inputs_hash, 0) AS inputs_hash
  FROM gapless_rows AS r
  LEFT JOIN gapless_inputs AS i ON i.read_for = r.{day}
) AS r
