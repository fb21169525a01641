"""The completion message: what is announced when targets are complete.

The names are those that the pipeline's existing producers and consumers use. A message is a hint about which dates to
look at; nobody decides anything from it. A range of dates travels as one message, so that downstream runs once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from shared.pipeline import Processor

_PHASES = {
    2: "phase_2_raw",
    3: "phase_3_analytics",
    4: "phase_4_precompute",
    5: "phase_5_predictions",
    6: "phase_6_export",
}


def completion(processor: Processor, days: Sequence[date], records: int, run_id: str, now: datetime) -> dict[str, Any]:
    """The message for one processor's complete dates: a single date or a range, never empty."""
    dataset, table = processor.table.split(".")
    message: dict[str, Any] = {
        "event_type": "processor_complete" if len(days) == 1 else "backfill_complete",
        "processor_name": processor.name,
        "phase": _PHASES.get(processor.phase, f"phase_{processor.phase}"),
        "execution_id": run_id,
        "correlation_id": run_id,
        "output_dataset": dataset,
        "output_table": table,
        "status": "success",
        "record_count": records,
        "timestamp": now.isoformat(),
        "start_date": min(days).isoformat(),
        "end_date": max(days).isoformat(),
        "game_dates": [day.isoformat() for day in sorted(days)],
        "trigger_source": "gapless",
    }
    if len(days) == 1:
        message["game_date"] = days[0].isoformat()
    return message
