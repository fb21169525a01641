-- Every column, declared or not, of the chosen rows.

CREATE TABLE {backup}
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {days} DAY)) AS
SELECT * FROM {table} AS t
WHERE {chosen}
