"""gapless report freshness"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from gapless.cli.chosen import open_gapless, words
from gapless.cli.reports.printing import facts_of, form_of, look_at, namer, print_report
from gapless.cli.sheets import PrintedTable
from gapless.questions.reports.freshness import Freshness, TableStanding, freshness


def run(as_json: bool, markdown: bool, project: str | None, home: Path | None, now: str | None) -> None:
    form = form_of(as_json, markdown)
    gapless = open_gapless(project, home, now)
    look = look_at(gapless, gapless.everything())
    found = freshness(gapless.pipeline, look)
    place = words(**{"--project": project, "--home": home, "--now": now})
    late = [each for each in found if each.standing is TableStanding.BEHIND]
    advice = {}
    sources_lack = any(gapless.pipeline.processors[each.processor].run == "none" for each in late)
    if sources_lack and gapless.pipeline.words.loads:
        advice["Load what is missing with"] = f"gapless load PATH{place}"
    own = [each for each in late if gapless.pipeline.processors[each.processor].run != "none"]
    if own:
        first = min((each.complete + timedelta(days=1) for each in own if each.complete), default=None)
        last = max(each.expected for each in own if each.expected)
        advice["Repair with"] = f"gapless apply{words(**{'--start-date': first, '--end-date': last})}{place}"
    sheet = _freshness_sheet(gapless.pipeline.words.period, found, namer(gapless.pipeline, form))
    print_report(form, [sheet], advice, ("table", "written (UTC)"), **facts_of(look))
    sys.exit(1 if late else 0)


def _freshness_sheet(period: str, found: Sequence[Freshness], named: Callable[[str], str]) -> PrintedTable:
    marks = {TableStanding.BEHIND: "red", TableStanding.NORMAL_LAG: "yellow", TableStanding.NO_RULE: "bright_black"}
    return PrintedTable(
        "freshness",
        "Latest date per table",
        (
            "processor",
            "table",
            "latest",
            "complete to",
            "expected",
            "behind",
            "normal",
            "written (UTC)",
            "status",
        ),
        [
            (
                named(each.processor),
                each.table,
                each.latest,
                each.complete,
                each.expected,
                None if each.standing is TableStanding.NO_RULE else each.behind,
                each.lag,
                each.written,
                str(each.standing),
            )
            for each in found
        ],
        (
            "latest: any row; complete to: enough of what is expected; behind, normal: days",
            f"older gaps do not show here: gapless report {period}",
        ),
        tuple(marks.get(each.standing, "") for each in found),
    )
