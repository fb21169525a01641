-- The rows of a backup (b) whose keys the table (t) does not have, as what follows FROM.

{backup} AS b
LEFT JOIN (
  SELECT DISTINCT {keys} FROM {table} WHERE {day} BETWEEN @first AND @last
) AS t ON {same_key}
WHERE t.{day} IS NULL
