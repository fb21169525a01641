-- Every backup that was written down, the newest first.

SELECT backup_table, source_table, row_count, IFNULL(reason, '') AS reason, created_at, expires_at
FROM {table_backups}
ORDER BY created_at DESC, backup_table
