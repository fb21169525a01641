"""Alerts: what is wrong now, what people were told of it, and so what to tell them next.

`decide` is pure. What people were told is kept in the ledger's `alert_log`, where the newest line of a key counts, so
that neither a restart nor a second detector says anything twice. A run first claims in the log what it is about to say,
then says it in one message, and writes down as sent only what the channel took. A run that dies in between leaves a
claim that ends after `LEASE`: people may then be told twice, but never not at all.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol
from urllib.parse import quote

from gapless.errors import CannotObserve, ClaimLost, GaplessError
from gapless.ledger import generation_of, table
from gapless.ledger.tables import ALERT_LOG, as_json
from gapless.logs import Log
from gapless.model import from_micros
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Param, Warehouse
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import template

_TOLD = template(__file__, "told")

# A daily call comes some seconds earlier on one day than on the day before: a day is 20 hours here.
DAY = timedelta(hours=20)
LEASE = timedelta(minutes=15)
_MOST_CHARACTERS = 3500
_MOST_DATES = 10


class Urgency(StrEnum):
    """How much an alert wants of people."""

    INFO = "info"  # worth knowing; said once
    WARNING = "warning"  # a person is needed; said again after a week
    PAGE = "page"  # now; said again every day

    @property
    def rank(self) -> int:
        return tuple(Urgency).index(self)

    @property
    def log_severity(self) -> str:
        return {"info": "INFO", "warning": "WARNING", "page": "CRITICAL"}[self]


REPEAT = {Urgency.WARNING: timedelta(days=6) + DAY, Urgency.PAGE: DAY}


class AlertState(StrEnum):
    """What the newest line of a key says."""

    CLAIMED = "claimed"  # a run is about to tell it
    SENT = "sent"
    UNDELIVERED = "undelivered"
    RECOVERED = "recovered"  # that it is over was told


class Alert(NamedTuple):
    """Something that is wrong now. Its key is the same as long as it is the same thing."""

    key: str
    severity: Urgency
    size: int  # how much of it there is; more is worse
    headline: str
    text: str = ""


class LoggedAlert(NamedTuple):
    """The newest line of a key in the log."""

    severity: Urgency
    state: AlertState
    size: int
    headline: str
    at: datetime


class News(StrEnum):
    """Why something is told."""

    NEW = "new"
    WORSE = "worse"
    STILL = "still"
    OVER = "over"


class Notice(NamedTuple):
    """One alert that people are to be told of now."""

    alert: Alert
    news: News


def decide(
    alerts: Iterable[Alert], told: Mapping[str, LoggedAlert], now: datetime, *, whole: bool = True
) -> tuple[Notice, ...]:
    """What to tell, the gravest first. With `whole`, what is in the log and holds no more is over."""
    current = {alert.key: alert for alert in alerts}
    notices = [
        Notice(alert, news) for key, alert in current.items() if (news := _news(alert, told.get(key), now)) is not None
    ]
    if whole:
        notices += [
            Notice(Alert(key, line.severity, line.size, line.headline), News.OVER)
            for key, line in told.items()
            if key not in current and line.state is not AlertState.RECOVERED and not _claimed(line, now)
        ]
    return tuple(sorted(notices, key=lambda n: (n.news is News.OVER, -n.alert.severity.rank, n.alert.key)))


def _news(alert: Alert, told: LoggedAlert | None, now: datetime) -> News | None:
    if told is None or told.state is AlertState.RECOVERED:
        return News.NEW
    if told.state is not AlertState.SENT:
        return None if _claimed(told, now) else News.NEW
    if alert.severity.rank > told.severity.rank:
        return News.WORSE
    silent = now - told.at
    if alert.size > told.size and silent >= DAY:
        return News.WORSE
    repeat = REPEAT.get(alert.severity)
    return News.STILL if repeat and silent >= repeat else None


def _claimed(told: LoggedAlert, now: datetime) -> bool:
    return told.state is AlertState.CLAIMED and now - told.at < LEASE


# -- words -------------------------------------------------------------------------------------------------------------


def first_dates(days: Iterable[date]) -> str:
    """The first ten dates, and how many more there are."""
    ordered = sorted(set(days))
    more = len(ordered) - _MOST_DATES
    return ", ".join(map(str, ordered[:_MOST_DATES])) + (f" and {more:,} more" if more > 0 else "")


def compose(notices: Sequence[Notice], pipeline: str, logs_url: str = "") -> str:
    """One message for all of a run's notices; what does not fit is counted."""
    counts = Counter("over" if n.news is News.OVER else str(n.alert.severity) for n in notices)
    lines = [f"Gapless ({pipeline}): " + ", ".join(f"{n} {what}" for what, n in counts.items())]
    room = _MOST_CHARACTERS
    for i, notice in enumerate(notices):
        said = _said(notice)
        room -= len(said)
        if room < 0:
            lines.append(f"… and {len(notices) - i} more; all of them are in the log")
            break
        lines.append(said)
    return "\n".join([*lines, f"Logs: {logs_url}"] if logs_url else lines)


def _said(notice: Notice) -> str:
    alert, news = notice
    if news is News.OVER:
        return f"OVER: {alert.headline[:400]}"
    said = f"{alert.severity.upper()} ({news}): {alert.headline[:400]}"
    return f"{said}\n{alert.text[:800]}" if alert.text else said


def console_url(project: str, function: str) -> str:
    """Where Cloud Logging shows what a function wrote."""
    query = quote(f'jsonPayload.function="{function}"', safe="")
    return f"https://console.cloud.google.com/logs/query;query={query}?project={quote(project, safe='')}"


# -- the log of what was told ------------------------------------------------------------------------------------------


class Memory(NamedTuple):
    """The log as one run read it."""

    told: Mapping[str, LoggedAlert]
    lines: int  # of all keys; the log only grows, so this is its version
    generation: str


class _BookRow(NamedTuple):
    """The newest line of a key, or how many lines there are in all (`lines`), or which ledger it is (`head`)."""

    kind: str
    alert_key: str
    severity: str
    state: str
    number: int  # when it was written, in microseconds since 1970; or how many
    text: str | None  # the message; or the generation


class _LineRow(NamedTuple):
    """What is written of each notice."""

    alert_key: str
    severity: str
    channel: str
    state: str
    message: str


@dataclass
class SqlAlertBook:
    """The part of `alert_log` whose keys begin with a prefix."""

    warehouse: Warehouse
    dataset: str
    prefix: str
    clock: Callable[[], datetime]
    wait: Callable[[float], None] = time.sleep

    @property
    def table(self) -> str:
        return quoted(table(self.dataset, "alert_log"))

    def read(self) -> Memory:
        """The newest line of every key; raises `CannotObserve` where the ledger was never created."""
        answer = self.warehouse.rows(
            _TOLD.fill(alert_log=self.table, attempts=quoted(table(self.dataset, "attempts"))),
            {"prefix": self.prefix},
            purpose="alerts",
        )
        told: dict[str, LoggedAlert] = {}
        lines, generation = 0, None
        for row in decoded(_BookRow, answer):
            if row.kind == "line":
                size, text = _unpacked(row.text)
                at = from_micros(row.number)
                told[row.alert_key] = LoggedAlert(Urgency(row.severity), AlertState(row.state), size, text, at)
            elif row.kind == "lines":
                lines = row.number
            else:
                generation = row.text
        return Memory(told, lines, generation_of(generation))

    def claim(self, notices: Sequence[Notice], memory: Memory, channel: str) -> bool:
        """Take it upon this run to tell these; False where the log has grown since it was read.

        As with the ledger's claims the job id decides on BigQuery: two runs that read the same log use the same one.
        """
        states = [(notice, AlertState.CLAIMED) for notice in notices]
        for attempt in range(5):
            try:
                changed = self._insert(
                    states, channel, memory.lines, f"gapless-alerts-{memory.generation}-{memory.lines:09d}-{attempt}"
                )
                return changed > 0
            except ClaimLost as lost:
                for _ in range(0 if lost.settled else 10):
                    if self.read().lines != memory.lines:
                        break
                    self.wait(1.0)  # the other's INSERT may be running still
                if self.read().lines != memory.lines:
                    return False
                # The other's INSERT failed and its id is used up; the next one is tried.
        return False

    def record(self, notices: Sequence[Notice], channel: str, *, delivered: bool) -> None:
        """Write down what became of what was claimed."""
        states: list[tuple[Notice, AlertState]] = []
        for notice in notices:
            ended_well = AlertState.RECOVERED if notice.news is News.OVER else AlertState.SENT
            states.append((notice, ended_well if delivered else AlertState.UNDELIVERED))
        self._insert(
            states,
            channel,
        )

    def _insert(
        self,
        states: Sequence[tuple[Notice, AlertState]],
        channel: str,
        lines: int | None = None,
        job_id: str | None = None,
    ) -> int:
        now = self.clock()
        rows = [
            _LineRow(alert.key, str(alert.severity), channel, str(state), packed(alert.size, alert.headline))
            for (alert, _), state in states
        ]
        values = ALERT_LOG.from_json(_LineRow._fields, "r") | {"sent_at": "@now"}
        params: dict[str, Param] = {"rows": as_json(rows), "now": now}
        sql = f"{ALERT_LOG.insert(self.dataset, values)}\nFROM UNNEST(JSON_QUERY_ARRAY(@rows)) AS r"
        if lines is not None:
            params["lines"] = lines
            sql += f"\nWHERE (SELECT COUNT(*) FROM {self.table}) = @lines"
        return self.warehouse.execute(sql, params, purpose="alerts", job_id=job_id)


def packed(size: int, text: str) -> str:
    """What the column `message` holds: JSON, so that the size can be read back and queried."""
    return json.dumps({"size": size, "text": text}, ensure_ascii=False)


def _unpacked(message: str | None) -> tuple[int, str]:
    try:
        value = json.loads(message or "")
        return int(value["size"]), str(value["text"])
    except (ValueError, TypeError, KeyError):
        return 0, message or ""  # somebody else's line


# -- telling -----------------------------------------------------------------------------------------------------------


class Channel(Protocol):
    """Where people read alerts."""

    @property
    def name(self) -> str: ...

    def send(self, text: str) -> None:
        """Deliver one message; raises `GaplessError`, `permanent` or not, when it was not taken."""
        ...


class LogChannel:
    """The log itself, where nothing else is configured: every notice is written there anyway."""

    name = "log"

    def send(self, text: str) -> None:
        """Nothing is left to do."""


@dataclass(frozen=True)
class Delivered:
    """What was told, and why it did not arrive if it did not."""

    notices: tuple[Notice, ...] = ()
    failure: GaplessError | None = None

    @property
    def paged(self) -> int:
        return sum(1 for n in self.notices if n.news is not News.OVER and n.alert.severity is Urgency.PAGE)

    @property
    def recovered(self) -> int:
        return sum(1 for n in self.notices if n.news is News.OVER)


@dataclass
class Teller:
    """Tells people what they do not know yet."""

    book: SqlAlertBook
    channel: Channel
    log: Log
    pipeline: str
    logs_url: str = ""

    def foretell(self, alerts: Sequence[Alert]) -> Delivered:
        """What would be told; nothing is sent and nothing written."""
        return Delivered(decide(alerts, self.book.read().told, self.book.clock()))

    def tell(self, alerts: Sequence[Alert], *, whole: bool = True) -> Delivered:
        """Tell what is news, in one message. What the channel does not take is told by the next run.

        Where the log of alerts cannot be used, everything is told: twice is better than never. Raises `ClaimLost` where
        other runs keep telling.
        """
        try:
            notices = self._claimed(alerts, whole)
            remembered = True
        except CannotObserve as error:
            self.log("alert_log_unusable", f"alerts are sent without looking at what was sent: {error}", "ERROR")
            notices, remembered = decide(alerts, {}, self.book.clock(), whole=False), False
        if not notices:
            return Delivered()
        for alert, news in notices:
            severity = "NOTICE" if news is News.OVER else alert.severity.log_severity
            self.log("alert", alert.headline, severity, key=alert.key, news=str(news), size=alert.size, text=alert.text)
        failure: GaplessError | None = None
        try:
            self.channel.send(compose(notices, self.pipeline, self.logs_url))
        except GaplessError as error:
            failure = error
            self.undelivered(error, [notice.alert.key for notice in notices])
        if remembered:
            self.book.record(notices, self.channel.name, delivered=failure is None)
        return Delivered(notices, failure)

    def undelivered(self, error: GaplessError, keys: Sequence[str]) -> None:
        """A channel that takes nothing must be noticed elsewhere."""
        self.log(
            "alert_undelivered",
            f"{self.channel.name} did not take a message: {error}",
            "ERROR",
            channel=self.channel.name,
            permanent=error.permanent,
            keys=list(keys),
        )

    def _claimed(self, alerts: Sequence[Alert], whole: bool) -> tuple[Notice, ...]:
        for _ in range(10):
            memory = self.book.read()
            notices = decide(alerts, memory.told, self.book.clock(), whole=whole)
            if not notices or self.book.claim(notices, memory, self.channel.name):
                return notices
        raise ClaimLost("the log of alerts grew ten times while it was read; try again later")
