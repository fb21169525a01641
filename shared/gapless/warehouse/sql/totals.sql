-- What the rows of `actual` come to for one date, as a part of a SELECT list.

IFNULL(SUM(n), 0) AS n_rows,
{extra} AS extra,
IFNULL(SUM(suspect), 0) AS suspect,
IFNULL(SUM({flaw}), 0) AS {flaw},
IFNULL(SUM(duplicates), 0) AS duplicates,
IFNULL(BIT_XOR(version), 0) AS version,
IF(MIN(least_inputs) = MAX(most_inputs) AND SUM(no_inputs) = 0, MIN(least_inputs), NULL) AS inputs,
MAX(changed_at) AS changed_at,
IFNULL(MAX(source), '') AS source
{preferred}
