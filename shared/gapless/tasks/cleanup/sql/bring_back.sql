INSERT INTO {table} ({columns})
SELECT {values}
FROM {absent}
  AND {fence}
