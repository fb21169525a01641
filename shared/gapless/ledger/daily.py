"""The line that every daily report leaves in the log of alerts, so that no gaps is not no report."""

from __future__ import annotations

from datetime import date

from gapless.ledger import table
from gapless.warehouse.names import quoted

_KEY = "report/"  # and the date


def report_key(day: date) -> str:
    """The key under which a day's report stands in the log of alerts."""
    return f"{_KEY}{day.isoformat()}"


def reported_days(dataset: str) -> str:
    """A SELECT of the days that have a report, as `day`; a key that holds no date is none."""
    return (
        f"SELECT SAFE_CAST(SUBSTR(alert_key, {len(_KEY) + 1}) AS DATE) AS day "
        f"FROM {quoted(table(dataset, 'alert_log'))} WHERE STARTS_WITH(alert_key, '{_KEY}')"
    )
