-- What is there: one row per date and key.

SELECT
  {day} AS day,
  {on},
  COUNT(*) AS n,
  COUNTIF({suspect}) AS suspect,
  COUNTIF({flawed}) AS {flaw},
  COUNT(*) - {distinct} AS duplicates,
  {version} AS version,
  {least_inputs} AS least_inputs,
  {most_inputs} AS most_inputs,
  {no_inputs} AS no_inputs,
  {changed_at} AS changed_at,
  {source} AS source
FROM {table}
WHERE {day} BETWEEN @first AND @last
  {chosen}
GROUP BY day, {on}
