"""One difference between what is declared and what is there, with what mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

AREAS = ("tables", "topics", "subscriptions", "schedules", "functions", "commit", "iam", "channels")
APPLY = "terraform -chdir=terraform apply"


@dataclass(frozen=True)
class Difference:
    """One difference, and what mends it."""

    area: str
    what: str
    # error: work fails or is lost; warning: it costs, or will fail one day; note: nothing is wrong, and it is told
    severity: Literal["error", "warning", "note"]
    fix: str


def ranked(found: Iterable[Difference]) -> list[Difference]:
    """Errors first, notes last, then by area in the order of `AREAS`."""
    return sorted(found, key=lambda f: (("error", "warning", "note").index(f.severity), AREAS.index(f.area)))
