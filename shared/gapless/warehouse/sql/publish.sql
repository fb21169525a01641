-- Replaces the partitions @dates of a table (t), all at once or not at all.
--
-- A row with a `_clear` matches, and so deletes, every row of its date; the others match nothing and are inserted.

MERGE INTO {table} AS t
USING (
  WITH free AS (
    SELECT d AS day FROM UNNEST(@dates) AS d
    {fence}
  )
  {kept}
  {written}
  UNION ALL
  SELECT day, {nothing} FROM free
) AS n
ON t.{day} = n._clear
  AND t.{day} BETWEEN @first AND @last
  {narrowed}
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND n._clear IS NULL THEN
  INSERT ({names}) VALUES ({values})
