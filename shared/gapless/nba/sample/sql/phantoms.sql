-- The players of each team's latest game (r), put into a game (g) that never took place.
--
-- Where other games took place (d), all rows of the date come from one run and so from the same inputs.

INSERT INTO {table} ({names})
SELECT {values}, r.row_hash, IFNULL(d.inputs_hash, r.inputs_hash), @run_id, r.processed_at
FROM {table} AS r
JOIN UNNEST(@teams) AS g ON r.team_abbr = g.team AND r.{day} = g.source_day
LEFT JOIN (
  SELECT {day} AS day, MIN(inputs_hash) AS inputs_hash FROM {table} WHERE {day} IN UNNEST(@days) GROUP BY day
) AS d ON d.day = g.day
WHERE r.{day} IN UNNEST(@sources)
