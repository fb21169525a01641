-- All but the first players of a date go.

DELETE FROM {table}
WHERE {day} = @day
  AND player_lookup NOT IN (
    SELECT player_lookup FROM {table} WHERE {day} = @day ORDER BY {key} LIMIT {left}
  )
