"""Clean-up of the tables about the days to come: what their day has overtaken is removed a week later.

A row of such a table is a forecast. Once its date is past nothing reads it and no verdict rests on it
(`applies_to: upcoming`), but whoever counts rows by hand still finds it. So each table is measured, a pure decision
says which dates may go, their targets are claimed in the ledger like those of a repair, a backup is made and counted,
and only rows that are in the backup, exactly as they are, are deleted. A run that dies in between leaves a table whole
or cleaned, and the next run finishes. `restore` brings back what is not there.

Every attempt on a table leaves a row in `cleanup_log`, whatever came out.

`decision` says what may go, `statements` is the SQL, `records` what the ledger knows of clean-ups, `claims` the dates
that are held while a table is worked on, `outcome` what came of it; `cleaner` does the work.
"""
