-- Only rows that stand in the backup exactly as they are: what changed or came since then stays.

DELETE FROM {table} AS t
WHERE {chosen}
  AND TO_JSON_STRING(t) IN (SELECT TO_JSON_STRING(b) FROM {backup} AS b)
  AND {fence}
