"""The daily gap detector: everything is looked at, what can be healed is started, the rest is told to people.

What is expected to be absent is no gap, so it is no alert: the judge knows first days, off days and acknowledgements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.engine import Engine, Look
from gapless.errors import CannotObserve, ClaimLost, GaplessError, NothingLoaded, Storm, TransientFailure
from gapless.judge.remedies import remedy_for
from gapless.judge.verdicts import civil_today
from gapless.ledger import table
from gapless.ledger.daily import report_key, reported_days
from gapless.ledger.tables import ALERT_LOG, GAP_HISTORY, as_json
from gapless.model import IS_A_GAP, Gap, Policy, Scope, Target, Verdict
from gapless.tasks.advance import Advance, advance
from gapless.tell.alerts import Alert, Delivered, Teller, Urgency, first_dates, packed
from gapless.verdict import Asks
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Bus, Warehouse
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import template

_NEWEST_REPORT = template(__file__, "newest_report")
PREFIX = "gaps/"  # of the detector's keys in the log of alerts
_SOURCE_GRACE_DAYS = 2  # yesterday's raw data may still be on its way
_COMPARED_DAYS = 40  # a report that is older says nothing about what healed
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Detection:
    """What a daily run found and did."""

    advance: Advance
    alerts: tuple[Alert, ...]
    delivery: Delivered
    reported: bool  # this run wrote the day's report
    summary: tuple[str, ...]


def detect(
    engine: Engine, scope: Scope, bus: Bus, teller: Teller, history: GapHistory, *, dry_run: bool = False
) -> Detection:
    """Look at everything, start what is ready, tell people what they do not know, and write the day's report.

    Where nothing can be seen, people are told that before the error goes on. With `dry_run` nothing is started, told
    or written.
    """
    try:
        look = engine.scan(scope)
        if look.observation.is_empty:
            raise NothingLoaded(engine.pipeline.words.load_first)
    except (Storm, CannotObserve) as error:
        if not dry_run:
            _tell_what_stopped_it(error, teller)
        raise
    done = advance(engine, look, bus, "gap_detector", dry_run=dry_run)
    found = tuple(findings(engine.pipeline, look, engine.policy, done.failure))
    delivery = teller.foretell(found) if dry_run else teller.tell(found)
    today = civil_today(engine.pipeline, look.at)
    before = history.before(today)
    summary = tuple(summarised(engine.pipeline, look, engine.policy, done, before))
    reported = not dry_run and history.write(
        look.judgement.gaps, today, look.at, look.observation.ledger.generation, summary
    )
    return Detection(done, found, delivery, reported, summary)


def _tell_what_stopped_it(error: GaplessError, teller: Teller) -> None:
    """An alert of its own. Nothing is known of the others, so none of them is over."""
    if isinstance(error, Storm):
        alert = Alert(f"{PREFIX}storm", Urgency.PAGE, 1, "nothing is healed: a storm was refused", str(error))
    else:
        severity = Urgency.WARNING if isinstance(error, TransientFailure) else Urgency.PAGE
        headline = "the tables could not be looked at, so gaps are not seen"
        alert = Alert(f"{PREFIX}scan", severity, 1, headline, str(error))
    try:
        teller.tell([alert], whole=False)
    except GaplessError as other:
        teller.log("alert_log_unusable", f"while telling of '{alert.headline}': {other}", "ERROR")


# -- what people should know -------------------------------------------------------------------------------------------


def findings(pipeline: Pipeline, look: Look, policy: Policy, failure: GaplessError | None = None) -> list[Alert]:
    """Everything in a look that wants a person, one alert per kind and processor. Pure."""
    found = []
    # One lost day can block half a year behind it: what only waits is no gap of its own.
    gaps = [gap for gap in look.judgement.gaps if gap.verdict.meaning.asks not in (Asks.WAITING, Asks.UPSTREAM)]
    if len(gaps) > policy.page_above:
        found.append(_flood(look, gaps, policy))
    if failure:
        severity = Urgency.PAGE if failure.permanent else Urgency.WARNING
        found.append(Alert(f"{PREFIX}dispatch", severity, 1, "runs could not be asked for", str(failure)))
    if look.plan.size and (policy.halted or policy.report_only):
        switch = "GAPLESS_HALT" if policy.halted else "GAPLESS_REPORT_ONLY"
        found.append(Alert(f"{PREFIX}switched_off", Urgency.INFO, 1, f"healing is switched off by {switch}"))
    sorted_out: dict[tuple[str, str], list[Gap]] = {}
    for gap in (*gaps, *look.judgement.phantoms, *look.judgement.warnings):
        kind = _kind(pipeline, look, policy, gap)
        if kind:
            sorted_out.setdefault((kind, gap.target.processor), []).append(gap)
    return found + [_alert(pipeline, policy, kind, name, of) for (kind, name), of in sorted(sorted_out.items())]


def _kind(pipeline: Pipeline, look: Look, policy: Policy, gap: Gap) -> str:
    """Which alert a gap belongs to; empty where it heals by itself."""
    if gap.verdict is Verdict.COMPLETE:
        return "thin"
    if gap.verdict.meaning.asks in (Asks.PERSON, Asks.CLEAN_UP):
        return str(gap.verdict)
    if pipeline.processors[gap.target.processor].run == "none":
        waited = civil_today(pipeline, look.at) - gap.target.day
        return "source" if waited >= timedelta(days=_SOURCE_GRACE_DAYS) else ""
    return "old" if gap.age(look.at) > timedelta(days=policy.age_limit_days) else ""


def _alert(pipeline: Pipeline, policy: Policy, kind: str, name: str, gaps: Sequence[Gap]) -> Alert:
    days = sorted(gap.target.day for gap in gaps)
    n = f"{len(days):,} date{'' if len(days) == 1 else 's'}"
    p, verdict = pipeline.processors[name], gaps[0].verdict
    meaning = verdict.meaning
    severity, headline = Urgency(meaning.urgency), meaning.headline.format(n=n, words=meaning.words)
    if kind == "old":
        severity = Urgency.WARNING
        headline = f"{n} could have been filled for more than {policy.age_limit_days} days"
    elif kind == "source":
        severity = Urgency.INFO if p.optional else Urgency.WARNING
        headline = f"{n} of this source are missing or partial"
    elif kind == "thin":
        severity = Urgency.INFO
        headline = f"{n} are complete with less than {p.warn_pct:g} % of what is expected"
    first = Target(name, days[0])
    way = remedy_for(pipeline, first, verdict).over(days[0], days[-1]).told()
    detail = f"{gaps[0].target.day}: {gaps[0].detail}" if meaning.asks is Asks.PERSON and gaps[0].detail else ""
    text = "\n".join(part for part in (first_dates(days), detail, way) if part)
    return Alert(f"{PREFIX}{kind}/{name}", severity, len(days), f"{name}: {headline}", text)


def _flood(look: Look, gaps: Sequence[Gap], policy: Policy) -> Alert:
    kinds = Counter(str(gap.verdict) for gap in gaps)
    names = Counter(gap.target.processor for gap in gaps)
    waiting = sum(gap.verdict.meaning.asks is Asks.UPSTREAM for gap in look.judgement.gaps)
    text = (
        f"{', '.join(f'{n:,} {verdict}' for verdict, n in kinds.most_common())}; "
        f"most of them: {', '.join(f'{name} {n:,}' for name, n in names.most_common(3))}\n"
        f"{first_dates(gap.target.day for gap in gaps)}\n"
        f"{_number(waiting, 'target')} behind them blocked; Gapless can heal {look.plan.size:,} of all by itself"
    )
    return Alert(
        f"{PREFIX}flood", Urgency.PAGE, len(gaps),
        f"{len(gaps):,} gaps are open, more than {policy.page_above:,}", text,
    )  # fmt: skip


# -- the morning summary -----------------------------------------------------------------------------------------------


class EarlierReport(NamedTuple):
    """The gaps of an earlier daily report."""

    day: date
    open: frozenset[Target]


def summarised(
    pipeline: Pipeline, look: Look, policy: Policy, done: Advance, before: EarlierReport | None
) -> list[str]:
    """The state of everything in short lines, worst news where people look first. Pure."""
    low, high = _span(look)
    rows = [line for name in pipeline.processors if (line := _of_processor(name, look, policy, before))]
    counts = look.judgement.counts()
    complete = counts.get(Verdict.COMPLETE, 0)
    gaps = sum(counts.get(verdict, 0) for verdict in IS_A_GAP)
    blocked = counts.get(Verdict.BLOCKED, 0)
    of_these = f", {blocked:,} of them blocked" if blocked else ""
    lines = [f"{low} to {high}: {_share(complete, gaps)}, {_number(gaps, 'gap')}{of_these}", *rows]
    by_name: Counter[str] = Counter()
    for each in done.dispatched:
        by_name[each.processor] += len(each.days)
    asked = ", ".join(f"{name} {_number(n, 'date')}" for name, n in by_name.items())
    of_ready = f" of {_number(done.ready, 'date')} ready" if done.triggered < done.ready else ""
    lines.append(f"triggered: {asked or 'nothing'}{of_ready}")
    if before:
        now_open = {gap.target for gap in look.judgement.gaps}
        lines.append(
            f"since the report of {before.day}: {len(before.open - now_open):,} healed, "
            f"{len(now_open - before.open):,} new"
        )
    return lines


def _span(look: Look) -> tuple[date, date]:
    """The first and the last date on which anything was there or expected."""
    first, last = look.observation.last, look.observation.first
    for column in look.observation.columns.values():
        there = [i for i, seen in enumerate(column) if seen]
        if there:
            first = min(first, look.observation.first + timedelta(days=there[0]))
            last = max(last, look.observation.first + timedelta(days=there[-1]))
    return first, max(first, last)


def _of_processor(name: str, look: Look, policy: Policy, before: EarlierReport | None) -> str:
    verdicts = Counter(look.judgement.verdicts.get(name, ()))
    complete = verdicts[Verdict.COMPLETE]
    gaps = [gap for gap in look.judgement.gaps if gap.target.processor == name]
    if not complete and not gaps:
        return ""
    if not gaps:
        return f"{name}: {_share(complete, 0)}"
    old = sum(gap.age(look.at) > timedelta(days=policy.age_limit_days) for gap in gaps)
    told = [f"{old:,} open for more than {policy.age_limit_days} days"] if old else []
    if before:
        new = sum(gap.target not in before.open for gap in gaps)
        told.insert(0, f"{new:,} new")
    detail = f" ({', '.join(told)})" if told else ""
    oldest = max(gaps, key=lambda gap: (gap.age(look.at), -gap.target.day.toordinal()))
    age = oldest.age(look.at)
    open_for = f", fillable for {_number(age.days, 'day')}" if age.days else ""
    return (
        f"{name}: {_share(complete, len(gaps))}, {_number(len(gaps), 'gap')}{detail}, "
        f"the oldest {oldest.target.day} {oldest.verdict}{open_for}"
    )


def _share(complete: int, gaps: int) -> str:
    """Never 100 % while anything is open."""
    share = 100.0 * complete / (complete + gaps) if complete + gaps else 100.0
    return f"{min(share, 99.9) if gaps else share:.1f} % complete"


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


# -- the history -------------------------------------------------------------------------------------------------------


class _ReportedRow(NamedTuple):
    """A gap of the newest report; only its date where it had none."""

    reported_on: date
    processor_name: str | None
    target_date: date | None


class _GapRow(NamedTuple):
    """What is written of each open gap."""

    gap_id: str
    processor_name: str
    target_date: date
    verdict: str
    expected_count: int
    actual_count: int
    age_days: float
    detail: str


@dataclass
class GapHistory:
    """The daily reports in `gap_history`; each leaves a line in `alert_log` too, so that no gaps is not no report."""

    warehouse: Warehouse
    dataset: str
    clock: Callable[[], datetime]

    def before(self, today: date) -> EarlierReport | None:
        """The newest report of an earlier day."""
        answer = self.warehouse.rows(
            _NEWEST_REPORT.fill(gap_history=self._table("gap_history"), reported_days=reported_days(self.dataset)),
            {"oldest": today - timedelta(days=_COMPARED_DAYS), "yesterday": today - timedelta(days=1)},
            purpose="gap_history",
        )
        rows = decoded(_ReportedRow, answer)
        if not rows:
            return None
        gaps = (Target(row.processor_name, row.target_date) for row in rows if row.processor_name and row.target_date)
        return EarlierReport(rows[0].reported_on, frozenset(gaps))

    def write(self, gaps: Sequence[Gap], today: date, now: datetime, generation: str, summary: Sequence[str]) -> bool:
        """Write the day's report, unless it is written already; whether this run did."""
        parts = [gaps[i : i + _ROWS_AT_ONCE] for i in range(0, len(gaps), _ROWS_AT_ONCE)]
        for number, part in enumerate(parts):
            if not self._write(part, today, now, f"gapless-report-{generation}-{today:%Y%m%d}-{number}"):
                return False
        return self._close(gaps, today, f"gapless-reported-{generation}-{today:%Y%m%d}", summary)

    def _write(self, gaps: Sequence[Gap], today: date, now: datetime, job_id: str) -> bool:
        rows = [
            _GapRow(
                gap_id=gap.id,
                processor_name=gap.target.processor,
                target_date=gap.target.day,
                verdict=str(gap.verdict),
                expected_count=gap.seen.expected,
                actual_count=gap.seen.covered,
                age_days=round(gap.age(now) / timedelta(days=1), 2),
                detail=_detail(gap),
            )
            for gap in gaps
        ]
        values = {
            "reported_on": "@today",
            **GAP_HISTORY.from_json(_GapRow._fields, "r"),
            "reported_at": "@now",
        }
        # Rows of the same moment are this report's own earlier parts.
        return self._once(
            f"""{GAP_HISTORY.insert(self.dataset, values)}
FROM UNNEST(JSON_QUERY_ARRAY(@gaps)) AS r
WHERE NOT EXISTS (
  SELECT 1 FROM {self._table("gap_history")} WHERE reported_on = @today AND reported_at != @now)
  AND NOT EXISTS (SELECT 1 FROM {self._table("alert_log")} WHERE alert_key = @key)""",
            {"today": today, "now": now, "gaps": as_json(rows), "key": report_key(today)},
            job_id,
        )

    def _close(self, gaps: Sequence[Gap], today: date, job_id: str, summary: Sequence[str]) -> bool:
        values = {
            "alert_key": "@key",
            "severity": "'info'",
            "channel": "'log'",
            "state": "'sent'",
            "message": "@message",
            "sent_at": "@now",
        }
        return self._once(
            f"""{ALERT_LOG.insert(self.dataset, values)}
FROM (SELECT 1)
WHERE NOT EXISTS (SELECT 1 FROM {self._table("alert_log")} WHERE alert_key = @key)""",
            {"key": report_key(today), "message": packed(len(gaps), "\n".join(summary)), "now": self.clock()},
            job_id,
        )

    def _once(self, sql: str, params: Mapping[str, str | date | datetime], job_id: str) -> bool:
        """Whether this run wrote. As with claims, the job id decides on BigQuery, and the condition on the emulator."""
        for attempt in range(3):
            try:
                return self.warehouse.execute(sql, params, purpose="gap_history", job_id=f"{job_id}-{attempt}") > 0
            except ClaimLost as lost:
                if not lost.settled:
                    return False  # another run is writing at this moment
                # The other's INSERT has ended: the condition sees its rows, or it failed and its id is used up.
        return False

    def _table(self, name: str) -> str:
        return quoted(table(self.dataset, name))


def _detail(gap: Gap) -> str:
    waits = f"waits for {', '.join(map(str, gap.blockers[:3]))}" if gap.blockers else ""
    return (gap.detail or waits)[:300]
