-- All players of a date go but those whom another table has.

DELETE FROM {table}
WHERE {day} = @day
  AND player_lookup NOT IN (SELECT player_lookup FROM {source} WHERE {source_day} = @day)
