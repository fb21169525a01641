"""Removes rows about dates more than 7 days ago from the tables about the days to come; daily, after a backup.

`{}` cleans; `{"dry_run": true}` only looks; `{"all_history": true}` lifts the limit on the share of a table.
"""

from __future__ import annotations

from typing import Any

import flask

from gapless.functions import web
from gapless.logs import Log
from gapless.messages.triggers import flag, only_known
from gapless.tasks.cleanup.cleaner import Cleaner
from gapless.tasks.cleanup.decision import CleanupRules
from gapless.tasks.cleanup.outcome import Ended, raise_first
from gapless.wiring import Gapless


def work(gapless: Gapless, body: dict[str, Any], log: Log) -> tuple[int, dict[str, Any]]:
    only_known(body, {"dry_run", "all_history"})
    cleaner = Cleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
    report_only = bool(cleaner.switched_off)
    dry_run = flag(body, "dry_run") or report_only
    results = cleaner.clean_up(CleanupRules(all_history=flag(body, "all_history")), dry_run=dry_run)
    for each in results:
        stopped = each.status in (Ended.REFUSED, Ended.FAILED)
        log("cleanup_table", each.summary(), "WARNING" if stopped else "INFO", run_id=each.run_id, **each.as_json())
    raise_first(results)
    numbers: dict[str, Any] = {
        "tables_cleaned": sum(each.status is Ended.DONE for each in results),
        "rows_deleted": sum(each.deleted or 0 for each in results),
        "rows_old": sum(each.old_rows for each in results),
    }
    text = f"{numbers['rows_deleted']:,} of {numbers['rows_old']:,} old rows removed from {len(results)} tables"
    log("cleanup_done", text, dry_run=dry_run, **numbers)
    told = {"dry_run": dry_run, "report_only": report_only, **numbers, "tables": [each.as_json() for each in results]}
    return 200, told


def upcoming_cleanup(request: flask.Request) -> flask.Response:
    return web.serve("upcoming_cleanup", work, request)
