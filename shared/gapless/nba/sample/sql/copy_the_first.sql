-- The first players of a date, as rows of another table.

INSERT INTO {table} ({names})
SELECT {values}, 0, 0, @run_id, TIMESTAMP(@day)
FROM (
  SELECT * FROM {source} WHERE {day} = @day ORDER BY {key} LIMIT {left}
) AS r
