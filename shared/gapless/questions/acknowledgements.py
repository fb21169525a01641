"""Acknowledgements: gaps that a person declared unrecoverable, as the ledger holds them and as a file for Git.

The judge leaves such a gap alone (`verdicts.holds`, `verdicts.reappeared`). Here is what people do with them: read
them all, see what each one covers now and whether it still holds, and carry them from one ledger to another as YAML. A
file is taken whole or not at all, and taking it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import yaml

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.judge.acknowledged import reappeared
from gapless.judge.verdicts import civil_today
from gapless.ledger.book import SpokenRow
from gapless.model import IS_A_GAP, Acknowledged, Target, Verdict
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import template

_ACKNOWLEDGED = template(__file__, "acknowledged")
LONGEST = 2000  # characters of a reason or an owner
_FIELDS = ("processor", "start_date", "end_date", "reason", "owner", "expires", "acknowledged_at")
_NEEDED = _FIELDS[:5]
_HEAD = """\
# Gaps that are known and are not going to be filled. Take them into a ledger with: gapless ack import FILE
# An entry has processor, start_date, end_date (both included), reason, owner, and may have expires, acknowledged_at.
"""


class AckState(StrEnum):
    """Whether an acknowledgement holds."""

    ACTIVE = "active"
    REOPENED = "reopened"  # what some of its targets are made from was written since
    EXPIRED = "expired"


class AckStanding(NamedTuple):
    """An acknowledgement and what it does now."""

    word: Acknowledged
    state: AckState
    targets: int = 0  # that are left alone because of it
    reopened: tuple[date, ...] = ()  # dates that ask for work again, because their source was written since
    filled: int = 0  # targets in its range that are complete
    source: Target | None = None  # the first thing that came back

    @property
    def note(self) -> str:
        """What a person should know of it, in a few words; often nothing."""
        told = []
        if self.state is AckState.EXPIRED:
            told.append(f"expired on {self.word.expires}")
        if self.source:
            many = f", {len(self.reopened):,} dates in all" if len(self.reopened) > 1 else ""
            told.append(f"{self.source} was written since{many}")
        if self.filled and not self.targets:
            told.append(f"nothing needs it: {self.filled:,} of its targets are complete")
        elif self.filled:
            told.append(f"{self.filled:,} of its targets are complete")
        return "; ".join(told)

    def as_json(self) -> dict[str, Any]:
        return {
            **entry(self.word), "state": str(self.state), "targets": self.targets,
            "reopened": [day.isoformat() for day in self.reopened], "complete": self.filled, "note": self.note,
        }  # fmt: skip


def by_range(word: Acknowledged) -> tuple[str, date, date]:
    """What tells acknowledgements apart: of one processor and range the newest counts."""
    return word.processor, word.first, word.last


def read(warehouse: Warehouse, pipeline: Pipeline) -> list[Acknowledged]:
    """Every acknowledgement that was not withdrawn, of any date, in a stable order."""
    answer = warehouse.rows(
        _ACKNOWLEDGED.fill(acknowledged_gaps=quoted(ledger.table(pipeline.ledger, "acknowledged_gaps"))),
        purpose="acknowledged",
    )
    return [
        Acknowledged(
            processor=row.processor_name,
            first=row.first_date,
            last=row.last_date,
            reason=row.reason,
            owner=row.owner,
            expires=row.expires_on,
            since=row.acknowledged_at,
        )
        for row in decoded(SpokenRow, answer)
    ]


def in_look(pipeline: Pipeline, look: Look) -> list[AckStanding]:
    """The acknowledgements that a look met, where they leave something alone or lately did."""
    words = sorted(look.observation.ledger.acknowledged, key=by_range)
    found = (standing(pipeline, look, word) for word in words)
    return [each for each in found if each.targets or each.reopened or _has_expired_on_gaps(look, each)]


def standing(pipeline: Pipeline, look: Look, word: Acknowledged) -> AckStanding:
    """What an acknowledgement does, as far as the look's scope shows it."""
    today = civil_today(pipeline, look.at)
    if word.processor not in pipeline.processors:
        return AckStanding(word, AckState.ACTIVE)
    scope = look.judgement.scope
    first, last = max(word.first, scope.first, look.judgement.first), min(word.last, scope.last)
    opens = IS_A_GAP | {Verdict.COMPLETE} if pipeline.processors[word.processor].run == "none" else IS_A_GAP
    alone, filled, source = 0, 0, None
    reopened: list[date] = []
    for i in range((last - first).days + 1):
        target = Target(word.processor, first + timedelta(days=i))
        verdict = look.judgement.verdict(target) if scope.holds(target) else None
        if verdict is Verdict.ACKNOWLEDGED:
            alone += 1
        elif verdict is Verdict.COMPLETE:
            filled += 1
        if verdict in opens and (back := reappeared(pipeline, look.observation, word, target.day, today)):
            reopened.append(target.day)
            source = source or back
    if word.expires and word.expires < today:
        return AckStanding(word, AckState.EXPIRED, alone, tuple(reopened), filled, source)
    return AckStanding(word, AckState.REOPENED if reopened else AckState.ACTIVE, alone, tuple(reopened), filled, source)


def _has_expired_on_gaps(look: Look, each: AckStanding) -> bool:
    return each.state is AckState.EXPIRED and any(each.word.covers(gap.target) for gap in look.judgement.gaps)


# -- as a file ---------------------------------------------------------------------------------------------------------


def entry(word: Acknowledged) -> dict[str, Any]:
    """An acknowledgement with the names that files and commands use; what it does not have is left out."""
    facts: dict[str, Any] = {
        "processor": word.processor, "start_date": word.first, "end_date": word.last, "reason": word.reason,
        "owner": word.owner,
    }  # fmt: skip
    if word.expires:
        facts["expires"] = word.expires
    if word.since:
        facts["acknowledged_at"] = word.since.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return facts


def as_yaml(words: Iterable[Acknowledged]) -> str:
    """The acknowledgements as a file for Git: the same ones are always the same bytes."""
    entries = [entry(word) for word in sorted(words, key=by_range)]
    body = yaml.safe_dump({"acknowledged": entries}, sort_keys=False, allow_unicode=True, width=110)
    return _HEAD + body


class _Loader(yaml.SafeLoader):
    """YAML in which a date stays the text that it is, so that a wrong one can be told with its entry and field."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, pipeline: Pipeline, source: str) -> list[Acknowledged]:
    """The acknowledgements in a file; raises `BadInput` naming entry and field for the first that is malformed."""
    try:
        raw = yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}: " if mark else ""
        raise BadInput(f"{source}: {at}not valid YAML ({getattr(error, 'problem', None) or error})") from error
    if not isinstance(raw, Mapping) or set(raw) != {"acknowledged"} or not isinstance(raw["acknowledged"], list):
        raise BadInput(f"{source}: a list of entries under 'acknowledged', and nothing else, is needed")
    words: dict[tuple[str, date, date], int] = {}
    found = []
    for number, fields in enumerate(raw["acknowledged"], 1):
        word = _entry(fields, pipeline, f"{source}: entry {number}")
        earlier = words.setdefault(by_range(word), number)
        if earlier != number:
            raise BadInput(
                f"{source}: entry {number} ({word.processor}): start_date and end_date are those of entry {earlier}; "
                "one processor and range is acknowledged once"
            )
        found.append(word)
    return found


def _entry(fields: Any, pipeline: Pipeline, where: str) -> Acknowledged:
    if not isinstance(fields, Mapping):
        raise BadInput(f"{where}: fields are needed: {', '.join(_NEEDED)}")
    if fields.get("processor"):
        where += f" ({str(fields['processor'])[:60]})"
    unknown = [str(name) for name in fields if name not in _FIELDS]
    if unknown:
        raise BadInput(f"{where}: there is no field '{unknown[0][:60]}'; there are {', '.join(_FIELDS)}")
    missing = [name for name in _NEEDED if fields.get(name) is None]
    if missing:
        raise BadInput(f"{where}: {missing[0]} is missing")
    name, reason, owner = (_text(fields[name], f"{where}: {name}") for name in ("processor", "reason", "owner"))
    first, last, expires = (
        _day(fields.get(name), f"{where}: {name}") for name in ("start_date", "end_date", "expires")
    )
    since = _time(fields.get("acknowledged_at"), f"{where}: acknowledged_at")
    try:
        return checked(pipeline, name, first, last, reason, owner, expires, since)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def checked(
    pipeline: Pipeline,
    processor: str,
    first: date | None,
    last: date | None,
    reason: str,
    owner: str,
    expires: date | None,
    since: datetime | None = None,
) -> Acknowledged:
    """An acknowledgement as it may be written down; raises `BadInput` naming the field.

    Reason and owner are kept as one line each, with single spaces, so that a file holds them exactly.
    """
    try:
        name = pipeline.processor(processor).name
    except BadInput as error:
        raise BadInput(f"processor: {error}") from error
    if first is None or last is None:
        raise BadInput("start_date and end_date are needed")
    if first > last:
        raise BadInput(f"start_date {first} is after end_date {last}; exchange them")
    if last < pipeline.history_start:
        raise BadInput(f"end_date {last} lies before the pipeline's history, which begins on {pipeline.history_start}")
    reason, owner = " ".join(reason.split()), " ".join(owner.split())
    if not reason:
        raise BadInput("reason is empty; say why the gap cannot be filled")
    if not owner:
        raise BadInput("owner is empty; name a person or a group")
    for field, text in (("reason", reason), ("owner", owner)):
        if len(text) > LONGEST:
            raise BadInput(f"{field} has {len(text):,} characters, {LONGEST:,} at most")
    return Acknowledged(name, first, last, reason, owner, expires, since)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{where} is {value!r}, which is no text; put it in quotes")
    return value


def _day(value: Any, where: str) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise BadInput(f"{where} '{str(value)[:60]}' is not a date that exists; write it as YYYY-MM-DD") from None


def _time(value: Any, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise BadInput(f"{where} '{str(value)[:60]}' is not a time; write it as 2026-01-15T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Changes(NamedTuple):
    """What taking a file into a ledger would do."""

    new: list[Acknowledged]
    changed: list[Acknowledged]
    same: list[Acknowledged]
    only_in_ledger: list[Acknowledged]


def compare(present: Sequence[Acknowledged], wanted: Sequence[Acknowledged]) -> Changes:
    """What a file adds to the ledger.

    The time of acknowledging is no difference: a file that is taken again does not acknowledge anew what has reopened.
    """
    there = {by_range(word): word for word in present}
    changes = Changes([], [], [], [])
    for word in wanted:
        old = there.pop(by_range(word), None)
        if old is None:
            changes.new.append(word)
        elif old._replace(since=word.since) == word:
            changes.same.append(old)
        else:
            changes.changed.append(word)
    changes.only_in_ledger.extend(there.values())
    return changes
