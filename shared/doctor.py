"""What is deployed against what is declared: tables, topics, subscriptions, schedules, functions, commits, callers.

`observe` asks a `Deployment` for each area once; what cannot be asked is kept as `NotChecked` with the reason, and
never counts as fine. `findings` is a pure comparison. Things are matched by what they do, not by what they are called:
a subscription belongs to a function when it delivers to the function's address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from shared import ledger
from shared.catalogue import Catalogue, Function, Schedule
from shared.errors import BadInput, CannotObserve
from shared.messages import DEAD_LETTER_TOPIC
from shared.pipeline import Pipeline
from shared.ports import Warehouse
from shared.statements import create_table

T = TypeVar("T")
AREAS = ("tables", "topics", "subscriptions", "schedules", "functions", "commit", "iam", "channels")
# A commit that changes none of these deploys nothing new.
DEPLOYED_PATHS = ("functions", "shared", "requirements.txt", "deploy/bundle.py")
COMMIT_VARIABLE = "GAPLESS_COMMIT"
_PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
_APPLY = "terraform -chdir=terraform apply"


# ------------------------------------------------------------------------------------------------ what is observed


@dataclass(frozen=True)
class Column:
    """A column as the warehouse or a declaration has it."""

    type: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """A table or view; `clustered_by` is None where the warehouse does not tell."""

    columns: Mapping[str, Column]
    partitioned_by: str = ""
    clustered_by: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Running:
    """A deployed function. `anonymous` is the status that a GET without a token was answered with, 0 if with none."""

    function: str  # its entry point, which is its name in the catalogue
    url: str
    commit: str | None = None  # None where nothing can tell
    account: str = ""
    invokers: frozenset[str] | None = None
    active: bool = True
    timeout_seconds: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    internal: bool = False  # not reached from outside its network, whoever calls
    anonymous: int | None = None


@dataclass(frozen=True)
class Subscription:
    """A Pub/Sub subscription; without an endpoint it waits to be pulled."""

    topic: str
    endpoint: str = ""
    audience: str = ""
    account: str = ""
    ack_seconds: int = 10
    dead_letter: str = ""
    expires_days: float | None = None


@dataclass(frozen=True)
class Job:
    """A Cloud Scheduler job that calls something over HTTP."""

    cron: str
    zone: str
    url: str
    method: str = "POST"
    body: Any = None
    audience: str = ""
    account: str = ""
    paused: bool = False
    last_error: str = ""


@dataclass(frozen=True)
class Grants:
    """Who may do what, as IAM members: publish to a topic, read a dataset, write it."""

    publishers: Mapping[str, frozenset[str]]
    readers: Mapping[str, frozenset[str]]
    writers: Mapping[str, frozenset[str]]


class NotThere(Exception):
    """There is nothing of this kind to be looked at here, and nobody expects it."""


class Deployment(Protocol):
    """What is deployed. A method raises `NotThere` where it has no business, `CannotObserve` where it failed."""

    def tables(self) -> Mapping[str, Table]: ...
    def topics(self) -> frozenset[str]: ...
    def subscriptions(self) -> Mapping[str, Subscription]: ...
    def schedules(self) -> Mapping[str, Job]: ...
    def functions(self) -> Mapping[str, Running]: ...
    def grants(self) -> Grants: ...
    def channels(self) -> Mapping[str, str | NotChecked]:
        """Name of an alert channel -> what is wrong with it, or nothing."""
        ...

    def behind(self, commit: str) -> int | None:
        """How many commits that concern a deployment came after a commit; None where it is not known here."""
        ...


@dataclass(frozen=True)
class NotChecked:
    """An area that nobody looked at, and why; `failed` says that it should have been possible."""

    why: str
    failed: bool = True


@dataclass(frozen=True)
class Observed:
    """Everything that was looked at, each area from one moment."""

    tables: Mapping[str, Table] | NotChecked
    topics: frozenset[str] | NotChecked
    subscriptions: Mapping[str, Subscription] | NotChecked
    schedules: Mapping[str, Job] | NotChecked
    functions: Mapping[str, Running] | NotChecked
    grants: Grants | NotChecked
    channels: Mapping[str, str | NotChecked] | NotChecked
    behind: Mapping[str, int | None] | NotChecked


@dataclass(frozen=True)
class Declared:
    """What should be there, and in which project and region the commands that mend it work."""

    catalogue: Catalogue
    pipeline: Pipeline
    project: str
    place: str = ""  # the options that choose the warehouse, for commands that are printed
    emulator: str = ""  # address of the Pub/Sub emulator's REST interface; empty on Google Cloud


@dataclass(frozen=True)
class Finding:
    """One difference, and what mends it."""

    area: str
    what: str
    severity: Literal["error", "warning"]  # error: work fails or is lost; warning: it costs, or will fail one day
    fix: str


def observe(deployment: Deployment) -> Observed:
    """Look at every area once."""
    functions = _looked(deployment.functions)
    behind: Mapping[str, int | None] | NotChecked
    if isinstance(functions, NotChecked):
        behind = functions
    else:
        commits = sorted({_clean(f.commit) for f in functions.values() if f.commit and _clean(f.commit) != "unknown"})
        behind = _looked(lambda: {commit: deployment.behind(commit) for commit in commits})
    return Observed(
        _looked(deployment.tables),
        _looked(deployment.topics),
        _looked(deployment.subscriptions),
        _looked(deployment.schedules),
        functions,
        _looked(deployment.grants),
        _looked(deployment.channels),
        behind,
    )


def _looked(look: Callable[[], T]) -> T | NotChecked:
    try:
        return look()
    except NotThere as nothing:
        return NotChecked(str(nothing), failed=False)
    except CannotObserve as error:
        return NotChecked(str(error))


def read_addresses(catalogue: Catalogue, file: Path | None, base: str | None) -> dict[str, str]:
    """Where each function is: in a JSON file, or all below one address; raises `BadInput`. Without either, nowhere.

    The file is an object of names and addresses, or what `terraform output -json functions` prints; the state that
    `deploy.stack` keeps, which holds one as `functions`, is one too.
    """
    if file and base:
        raise BadInput("--urls and --base-url: give one of them")
    found = {name: f"{base.rstrip('/')}/{name}" for name in catalogue.functions} if base else {}
    if file:
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            raw = raw.get("functions", raw)
            found = {str(name): str(each["uri"] if isinstance(each, dict) else each) for name, each in raw.items()}
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise BadInput(f"--urls {file}: a JSON object of names and addresses is needed ({error})") from error
    for name, address in found.items():
        if not address.startswith(("http://", "https://")):
            raise BadInput(f"{name}: '{address}' is not an address; it starts with https:// or http://")
    return found


def warehouse_tables(warehouse: Warehouse, pipeline: Pipeline, *, keeps_clustering: bool) -> dict[str, Table]:
    """The tables and views of every dataset that the pipeline declares."""
    found: dict[str, Table] = {}
    for dataset in sorted({name.split(".")[0] for name in [*declared_tables(pipeline), *pipeline.views.values()]}):
        if not warehouse.tables(dataset):
            continue  # INFORMATION_SCHEMA of a dataset that does not exist is an error
        rows = warehouse.rows(
            "SELECT table_name, column_name, data_type, is_nullable, is_partitioning_column, "
            f"clustering_ordinal_position FROM `{dataset}`.INFORMATION_SCHEMA.COLUMNS "
            "ORDER BY table_name, ordinal_position",
            purpose="doctor",
        ).rows
        for name in dict.fromkeys(row[0] for row in rows):
            own = [row for row in rows if row[0] == name]
            clustered = sorted((row[5], row[1]) for row in own if row[5] is not None)
            found[f"{dataset}.{name}"] = Table(
                {row[1]: Column(row[2].replace(" ", ""), row[3] == "NO") for row in own},
                next((row[1] for row in own if row[4] == "YES"), ""),
                tuple(column for _, column in clustered) if keeps_clustering else None,
            )
    return found


# ------------------------------------------------------------------------------------------------- what is declared


def declared_tables(pipeline: Pipeline) -> dict[str, Table]:
    """Every table of the pipeline and its ledger, read from the statements that create them."""
    found = {p.table: parse_table(create_table(p)) for p in pipeline.processors.values()}
    for name, columns in ledger.TABLES.items():
        found[ledger.table(pipeline.ledger, name)] = parse_table(f"({columns}")
    return found


def parse_table(statement: str) -> Table:
    """The table that a CREATE TABLE of ours makes."""
    body, _, after = statement[statement.index("(") + 1 :].rpartition("\n)")
    columns = {}
    for text in re.split(r",(?![^(]*\))", body):  # not the comma in NUMERIC(5, 2)
        name, kind, *rest = text.split()
        columns[name] = Column(kind, rest[:2] == ["NOT", "NULL"])
    partition, cluster = re.search(r"PARTITION BY (\w+)", after), re.search(r"CLUSTER BY ([\w, ]+)", after)
    clustered = tuple(name.strip() for name in cluster[1].split(",")) if cluster else ()
    return Table(columns, partition[1] if partition else "", clustered)


# ----------------------------------------------------------------------------------------------------- comparison


def findings(declared: Declared, observed: Observed) -> list[Finding]:
    """Every difference between what is declared and what was observed; areas that were not looked at give none."""
    running = {} if isinstance(observed.functions, NotChecked) else dict(observed.functions)
    found: list[Finding] = []
    if not isinstance(observed.tables, NotChecked):
        found += _tables(declared, observed.tables)
    if not isinstance(observed.topics, NotChecked):
        found += _topics(declared, observed.topics)
    if not isinstance(observed.subscriptions, NotChecked):
        found += _subscriptions(declared, observed.subscriptions, running)
    if not isinstance(observed.schedules, NotChecked):
        found += _schedules(declared, observed.schedules, running)
    if not isinstance(observed.functions, NotChecked):
        found += _functions(declared, running)
        found += _commits(running, {} if isinstance(observed.behind, NotChecked) else observed.behind)
        found += _callers(declared, observed, running)
        if not isinstance(observed.grants, NotChecked):
            found += _grants(declared, observed.grants, running)
    if not isinstance(observed.channels, NotChecked):
        found += [
            Finding("channels", f"{name}: {wrong}", "error", "make it anew, and add its address to the secret "
                    "(terraform/README.md); until then nobody is told")
            for name, wrong in observed.channels.items() if isinstance(wrong, str) and wrong
        ]  # fmt: skip
    return found


def unchecked(observed: Observed) -> dict[str, NotChecked]:
    """What nobody looked at, by area, with the reason; a part of an area has the area's name and its own."""
    iam = observed.grants
    areas = {
        "tables": observed.tables, "topics": observed.topics, "subscriptions": observed.subscriptions,
        "schedules": observed.schedules, "functions": observed.functions, "commit": observed.behind, "iam": iam,
        "channels": observed.channels,
    }  # fmt: skip
    found = {name: seen for name, seen in areas.items() if isinstance(seen, NotChecked)}
    if not isinstance(observed.tables, NotChecked) and any(
        t.clustered_by is None for t in observed.tables.values()
    ):
        found["tables: clustering"] = NotChecked("the emulator does not keep it", failed=False)
    if not isinstance(observed.channels, NotChecked):
        found |= {f"channels: {name}": s for name, s in observed.channels.items() if isinstance(s, NotChecked)}
    if isinstance(observed.functions, NotChecked):
        for area, seen in (("subscriptions", observed.subscriptions), ("schedules", observed.schedules)):
            if not isinstance(seen, NotChecked):
                found[f"{area}: addresses"] = NotChecked(
                    "the addresses of the functions are not known", observed.functions.failed
                )
        return found
    for name, state in observed.functions.items():
        if state.commit is None:
            found.setdefault("commit", NotChecked(f"{name} cannot be asked for it", failed=False))
        elif not isinstance(observed.behind, NotChecked) and observed.behind.get(_clean(state.commit), 0) is None:
            found[f"commit: {name}"] = NotChecked(
                f"{_short(state.commit)} is not known here; run: git fetch", failed=False
            )
        if state.invokers is None and not _is_local(state.url):
            found[f"iam: invokers of {name}"] = NotChecked("who may call it cannot be read (run.services.getIamPolicy)")
    return found


def _tables(declared: Declared, seen: Mapping[str, Table]) -> Iterator[Finding]:
    create = f"gapless init{declared.place}"
    for name, wanted in declared_tables(declared.pipeline).items():
        if name in seen:
            yield from _table(name, wanted, seen[name], altering=not declared.emulator)
        else:
            yield Finding("tables", f"{name} does not exist", "error", create)
    for name in declared.pipeline.views.values():
        if name not in seen:
            yield Finding("tables", f"the view {name} does not exist", "error", create)


def _table(name: str, wanted: Table, there: Table, *, altering: bool) -> Iterator[Finding]:
    """The differences of one table. The emulator's catalogue does not follow ALTER TABLE: there it is made anew."""
    for column, declared in wanted.columns.items():
        found = there.columns.get(column)
        if found is None:
            yield Finding(
                "tables", f"{name} has no column {column} {declared.type}", "error",
                f"ALTER TABLE `{name}` ADD COLUMN {column} {declared.type}"
                if altering else _remake(name, wanted, f"*, CAST(NULL AS {declared.type}) AS {column}"),
            )  # fmt: skip
        elif not _same_type(declared.type, found.type):
            yield Finding(
                "tables", f"{name}.{column} is {found.type}, declared is {declared.type}", "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} SET DATA TYPE {declared.type}"
                if altering and _widens(found.type, declared.type)
                else _remake(name, wanted, f"* REPLACE (CAST({column} AS {declared.type}) AS {column})"),
            )  # fmt: skip
        elif found.required and not declared.required:
            yield Finding(
                "tables", f"{name}.{column} refuses NULL, which the declaration allows", "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} DROP NOT NULL",
            )  # fmt: skip
    for column, state in there.columns.items():
        if column not in wanted.columns and state.required:
            yield Finding(
                "tables", f"{name}.{column} is not declared and refuses NULL: no row can be written", "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} DROP NOT NULL",
            )  # fmt: skip
    if there.partitioned_by != wanted.partitioned_by:
        has, should = there.partitioned_by or "nothing", wanted.partitioned_by or "nothing"
        yield Finding(
            "tables", f"{name} is partitioned by {has}, declared is {should}: every look reads more than it has to",
            "warning", _remake(name, wanted),
        )  # fmt: skip
    if there.clustered_by is not None and there.clustered_by != wanted.clustered_by:
        has, should = ", ".join(there.clustered_by) or "nothing", ", ".join(wanted.clustered_by or ()) or "nothing"
        project, _, table = name.rpartition(".")
        yield Finding(
            "tables", f"{name} is clustered by {has}, declared is {should}", "warning",
            f"bq update --clustering_fields={','.join(wanted.clustered_by or ())} {project}.{table}",
        )  # fmt: skip


def _same_type(declared: str, found: str) -> bool:
    """Whether two types are one; a NUMERIC without a size, as the emulator tells it, agrees with one of any size."""
    if declared.startswith("NUMERIC") and found == "NUMERIC":
        return True
    return declared == found


_WIDER = {"INT64": ("NUMERIC", "FLOAT64"), "NUMERIC": ("FLOAT64",)}


def _widens(found: str, wanted: str) -> bool:
    """Whether BigQuery changes the type in place."""
    return any(wanted.startswith(kind) for kind in _WIDER.get(found.partition("(")[0], ()))


def _remake(table: str, declared: Table, select: str = "*") -> str:
    """A table can change neither a type to a narrower one nor its partitions: a copy takes its place."""
    by = f" PARTITION BY {declared.partitioned_by}" if declared.partitioned_by else ""
    by += f" CLUSTER BY {', '.join(declared.clustered_by)}" if declared.clustered_by else ""
    return (
        f"CREATE TABLE `{table}_anew` AS SELECT {select} FROM `{table}`; DROP TABLE `{table}`; "
        f"CREATE TABLE `{table}`{by} AS SELECT * FROM `{table}_anew`; DROP TABLE `{table}_anew`"
    )


def _topics(declared: Declared, seen: frozenset[str]) -> Iterator[Finding]:
    for name in declared_topics(declared.catalogue):
        if name not in seen:
            fix = f"curl -X PUT {declared.emulator}/v1/projects/{declared.project}/topics/{name}"
            yield Finding(
                "topics", f"the topic {name} does not exist", "error", fix if declared.emulator else _APPLY
            )


def declared_topics(catalogue: Catalogue) -> list[str]:
    """Every topic that a function listens or publishes to."""
    used = (topic for f in catalogue.functions.values() for topic in (*f.topics, *f.publishes))
    return sorted({*catalogue.topics, *used})


def _subscriptions(
    declared: Declared, seen: Mapping[str, Subscription], running: Mapping[str, Running]
) -> Iterator[Finding]:
    owner = _owners(running)
    for function in declared.catalogue.functions.values():
        place = _place(function.name, running)
        for topic in function.topics:
            of_topic = {name: s for name, s in seen.items() if s.topic == topic and s.endpoint}
            own = {name: s for name, s in of_topic.items() if owner.get(_address(s.endpoint)) == function.name}
            if not place:  # not deployed, which is a finding of its own, or not known
                continue
            if len(own) > 1:
                yield Finding(
                    "subscriptions", f"{' and '.join(sorted(own))} both deliver {topic} to {function.name}: every "
                    "message is worked on twice", "error", _delete_subscription(declared, sorted(own)[1]),
                )  # fmt: skip
            for name, subscription in own.items():
                yield from _subscription(declared, name, subscription, function, place)
            if not own:
                astray = [name for name in of_topic if _is_named_for(name, function.name)]
                for name in astray:
                    yield Finding(
                        "subscriptions", f"{name} delivers to {of_topic[name].endpoint}, but {function.name} is at "
                        f"{place.url}", "error", _repoint(declared, name, place.url),
                    )  # fmt: skip
                if not astray:
                    yield Finding(
                        "subscriptions", f"nothing delivers {topic} to {function.name}", "error",
                        _subscribe(declared, topic, function.name, place.url),
                    )  # fmt: skip
    if running:
        yield from _strays(declared, seen, owner)
    if not any(s.topic == DEAD_LETTER_TOPIC for s in seen.values()):
        yield Finding(
            "subscriptions", f"nothing keeps what is sent to {DEAD_LETTER_TOPIC}: dead letters are lost", "error",
            _subscribe(declared, DEAD_LETTER_TOPIC, "", ""),
        )  # fmt: skip


def _subscription(
    declared: Declared, name: str, seen: Subscription, function: Function, place: Running
) -> Iterator[Finding]:
    update = f"gcloud pubsub subscriptions update {name} --project={declared.project}"
    least = max(function.timeout_seconds, place.timeout_seconds)
    if seen.ack_seconds <= least:
        yield Finding(
            "subscriptions", f"{name} delivers again after {seen.ack_seconds} s, while {function.name} may take "
            f"{least} s: the same message would be worked on twice", "error", f"{update} --ack-deadline=600",
        )  # fmt: skip
    if seen.dead_letter != DEAD_LETTER_TOPIC:
        there = f"to {seen.dead_letter}" if seen.dead_letter else "nowhere"
        yield Finding(
            "subscriptions", f"{name} sends what cannot be delivered {there}, declared is {DEAD_LETTER_TOPIC}",
            "warning", f"{update} --dead-letter-topic={DEAD_LETTER_TOPIC} --max-delivery-attempts=20",
        )  # fmt: skip
    if seen.expires_days is not None and not _is_local(place.url):
        yield Finding(
            "subscriptions", f"{name} is deleted after {seen.expires_days:g} days without messages, as in summer",
            "warning", f"{update} --expiration-period=never",
        )  # fmt: skip
    if not _is_local(place.url) and _address(seen.audience) != _address(place.url):
        yield Finding(
            "subscriptions", f"{name} has tokens for {seen.audience or 'nobody'}, {function.name} takes those for "
            f"{place.url}", "error",
            f"{update} --push-endpoint={place.url} --push-auth-token-audience={place.url} "
            f"--push-auth-service-account={seen.account or 'ACCOUNT'}",
        )  # fmt: skip


def _strays(declared: Declared, seen: Mapping[str, Subscription], owner: Mapping[str, str]) -> Iterator[Finding]:
    """Deliveries of ours to where no function is, or of a topic that the function does not listen to."""
    functions = declared.catalogue.functions
    for name, s in seen.items():
        if not s.endpoint:
            continue
        to = owner.get(_address(s.endpoint))
        if to is None:
            named = [f for f in functions if _is_named_for(name, f)]
            if s.topic in declared.catalogue.topics and not any(s.topic in functions[f].topics for f in named):
                yield Finding(
                    "subscriptions", f"{name} delivers {s.topic} to {s.endpoint}, which is no function here", "error",
                    _delete_subscription(declared, name),
                )  # fmt: skip
        elif to in functions and s.topic not in functions[to].topics:
            yield Finding(
                "subscriptions", f"{name} delivers {s.topic} to {to}, which does not listen to it", "error",
                _delete_subscription(declared, name),
            )  # fmt: skip


def _schedules(declared: Declared, seen: Mapping[str, Job], running: Mapping[str, Running]) -> Iterator[Finding]:
    owner = _owners(running)
    for function in declared.catalogue.functions.values():
        place = _place(function.name, running)
        if not place:
            continue
        own = {name: job for name, job in seen.items() if owner.get(_address(job.url)) == function.name}
        used: set[str] = set()
        for key, schedule in function.schedules.items():
            what = f"the schedule {key} of {function.name}"
            same = sorted(name for name, job in own.items() if job.body == schedule.body and name not in used)
            if not same and len(own) == len(function.schedules) == 1:
                same = list(own)
            used.update(same)
            if len(same) > 1:
                yield Finding(
                    "schedules", f"{' and '.join(same)} are both {what}: it is called twice", "error",
                    f"gcloud scheduler jobs delete {same[1]} --project={declared.project}",
                )  # fmt: skip
            for name in same:
                yield from _schedule(declared, name, own[name], schedule, place)
            if not same:
                astray = [name for name in seen if name not in own and _is_named_for(name, function.name)]
                where = f"; {astray[0]} calls {seen[astray[0]].url} instead of {place.url}" if astray else ""
                yield Finding("schedules", f"{what} does not exist{where}", "error", _APPLY)
        for name in sorted(set(own) - used):
            yield Finding(
                "schedules", f"{name} calls {function.name} with {own[name].body}, which is not declared", "warning",
                f"gcloud scheduler jobs delete {name} --project={declared.project}",
            )  # fmt: skip


def _schedule(declared: Declared, name: str, seen: Job, wanted: Schedule, place: Running) -> Iterator[Finding]:
    change = f"{_APPLY}   (or: gcloud scheduler jobs update http {name} --project={declared.project}"
    if seen.cron != wanted.cron:
        yield Finding("schedules", f"{name} runs at '{seen.cron}', declared is '{wanted.cron}'", "error",
                      f"{change} --schedule='{wanted.cron}')")  # fmt: skip
    if seen.zone != wanted.zone:
        yield Finding("schedules", f"{name} runs in {seen.zone}, declared is {wanted.zone}", "error",
                      f"{change} --time-zone={wanted.zone})")  # fmt: skip
    if seen.body != wanted.body or seen.method != "POST":
        yield Finding("schedules", f"{name} sends {seen.method} {seen.body}, declared is POST {wanted.body}", "error",
                      _APPLY)  # fmt: skip
    if not _is_local(place.url) and _address(seen.audience) != _address(place.url):
        yield Finding("schedules", f"{name} has tokens for {seen.audience or 'nobody'}, not for {place.url}", "error",
                      f"{change} --oidc-token-audience={place.url})")  # fmt: skip
    if seen.paused:
        yield Finding("schedules", f"{name} is paused: gaps are not looked for", "warning",
                      f"gcloud scheduler jobs resume {name} --project={declared.project}")  # fmt: skip
    if seen.last_error:
        yield Finding("schedules", f"the last call of {name} failed: {seen.last_error}", "warning",
                      f"python -m deploy.probe --only {place.function} …, then: gcloud scheduler jobs run {name} "
                      f"--project={declared.project}")  # fmt: skip


def _functions(declared: Declared, running: Mapping[str, Running]) -> Iterator[Finding]:
    functions = declared.catalogue.functions
    for name in functions:
        own = sorted(service for service, state in running.items() if state.function == name)
        if not own:
            yield Finding("functions", f"{name} is declared and not deployed", "error", _APPLY)
        if len(own) > 1:
            yield Finding("functions", f"{name} is deployed {len(own)} times, as {', '.join(own)}", "error",
                          f"gcloud functions delete {own[1]} --project={declared.project}")  # fmt: skip
    for service, state in running.items():
        wanted = functions.get(state.function)
        if wanted is None:
            yield Finding("functions", f"{service} is deployed and not declared", "warning",
                          f"gcloud functions delete {service} --project={declared.project}")  # fmt: skip
            continue
        if not state.active:
            yield Finding("functions", f"{service} is not active: its last deployment failed", "error", _APPLY)
        if state.timeout_seconds and state.timeout_seconds != wanted.timeout_seconds:
            yield Finding("functions", f"{service} may take {state.timeout_seconds} s, declared is "
                          f"{wanted.timeout_seconds} s", "error", _APPLY)  # fmt: skip
        if state.timeout_seconds:  # its configuration is known
            lost = sorted(key for key, value in wanted.environment.items() if state.environment.get(key) != value)
            if lost:
                yield Finding("functions", f"{service} lacks declared environment: {', '.join(lost)}", "error", _APPLY)
            empty = sorted(set(wanted.secrets) - state.secrets)
            if empty:
                yield Finding(
                    "functions", f"{service} does not get its secret {', '.join(empty)}", "warning",
                    "add a version, name it in filled_secrets (terraform/README.md), then: " + _APPLY,
                )  # fmt: skip
        yield from _answers(service, state)


def _answers(service: str, state: Running) -> Iterator[Finding]:
    """What a GET without a token says: our functions answer 405, and private ones are not reached at all."""
    status = state.anonymous
    if status is None:
        return
    if status == 0:
        yield Finding("functions", f"{service} does not answer at {state.url}", "error", "look at its log; then: "
                      f"python -m deploy.probe --only {state.function} …")  # fmt: skip
    elif status == 404 or status >= 500:
        yield Finding("functions", f"{service} answers {status} at {state.url}", "error", "look at its log; then: "
                      f"python -m deploy.probe --only {state.function} …")  # fmt: skip
    elif not _is_local(state.url) and status not in (401, 403):
        yield Finding("iam", f"{service} answers without a token ({status}): anybody may call it", "error", _APPLY)


def _commits(running: Mapping[str, Running], behind: Mapping[str, int | None]) -> Iterator[Finding]:
    known = {service: state.commit for service, state in running.items() if state.commit is not None}
    redeploy = f"python -m deploy.bundle && {_APPLY}"
    for service, commit in known.items():
        if not commit or commit == "unknown":
            yield Finding("commit", f"{service} does not tell its commit ({COMMIT_VARIABLE})", "warning", redeploy)
            continue
        if commit.endswith("-dirty"):
            yield Finding("commit", f"{service} was deployed from {_short(commit)} with changes that are in no commit",
                          "warning", f"git commit, then: {redeploy}")  # fmt: skip
        count = behind.get(_clean(commit))
        if count:
            yield Finding("commit", f"{service} runs {_short(commit)}, {count} commits behind this checkout", "warning",
                          redeploy)  # fmt: skip
    if len(set(known.values())) > 1:
        told = ", ".join(f"{service} {_short(commit) or '-'}" for service, commit in sorted(known.items()))
        yield Finding("commit", f"functions run different commits: {told}", "warning", redeploy)


def _callers(declared: Declared, observed: Observed, running: Mapping[str, Running]) -> Iterator[Finding]:
    """Whether those that deliver to a function may call it, and strangers may not."""
    owner = _owners(running)
    callers: dict[str, dict[str, str]] = {}
    deliveries: list[tuple[str, str, str]] = []
    if not isinstance(observed.subscriptions, NotChecked):
        deliveries += [(name, s.endpoint, s.account) for name, s in observed.subscriptions.items() if s.endpoint]
    if not isinstance(observed.schedules, NotChecked):
        deliveries += [(name, job.url, job.account) for name, job in observed.schedules.items()]
    for name, url, account in deliveries:
        to = owner.get(_address(url))
        if to:
            callers.setdefault(to, {})[name] = account
    for service, state in running.items():
        if state.invokers is None:
            continue
        public = sorted(state.invokers & _PUBLIC)
        if public:
            yield Finding(
                "iam", f"anybody may call {service} ({', '.join(public)})", "error",
                f"gcloud functions remove-invoker-policy-binding {service} --member={public[0]} "
                f"--project={declared.project}",
            )  # fmt: skip
        if public or _is_local(state.url):
            continue
        for name, account in callers.get(state.function, {}).items():
            if not account:
                yield Finding("iam", f"{name} calls {service} without a service account", "error", _APPLY)
            elif f"serviceAccount:{account}" not in state.invokers:
                yield Finding(
                    "iam", f"{name} calls {service} as {account}, which may not", "error",
                    f"gcloud functions add-invoker-policy-binding {service} --member=serviceAccount:{account} "
                    f"--project={declared.project}",
                )  # fmt: skip


def _grants(declared: Declared, grants: Grants, running: Mapping[str, Running]) -> Iterator[Finding]:
    """Whether each function's account has on topics and datasets what the catalogue says it needs."""
    for service, state in running.items():
        wanted = declared.catalogue.functions.get(state.function)
        if wanted is None or not state.account:
            continue
        member = f"serviceAccount:{state.account}"
        needs: list[tuple[str, Sequence[str], Mapping[str, frozenset[str]]]] = [
            ("publish to the topic", wanted.publishes, grants.publishers),
            ("read the dataset", wanted.reads, grants.readers),
            ("write the dataset", wanted.writes, grants.writers),
        ]
        for verb, names, holders in needs:
            lacking = [name for name in names if name in holders and member not in holders[name]]
            if lacking:
                who = f"{service} ({state.account})"
                yield Finding("iam", f"{who} may not {verb} {', '.join(lacking)}", "error", _APPLY)


# ------------------------------------------------------------------------------------------------------------- words


def _owners(running: Mapping[str, Running]) -> dict[str, str]:
    """Address -> function."""
    return {_address(state.url): state.function for state in running.values() if state.url}


def _place(function: str, running: Mapping[str, Running]) -> Running | None:
    return next((state for state in running.values() if state.function == function), None)


def _address(url: str) -> str:
    """A URL without what does not matter: query, closing slash, case of the host."""
    scheme, _, rest = url.partition("?")[0].rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"


def _is_local(url: str) -> bool:
    return url.startswith("http://")


def _is_named_for(name: str, function: str) -> bool:
    """Whether a resource carries a function's name, as Terraform writes it."""
    return function.replace("_", "-") in name.replace("_", "-")


def _repoint(declared: Declared, name: str, url: str) -> str:
    if declared.emulator:
        return (
            f"curl -X POST {declared.emulator}/v1/projects/{declared.project}/subscriptions/{name}:modifyPushConfig "
            f"""-d '{{"pushConfig": {{"pushEndpoint": "{url}"}}}}'"""
        )
    return _APPLY


def _subscribe(declared: Declared, topic: str, function: str, url: str) -> str:
    if not declared.emulator:
        return _APPLY
    push = f', "ackDeadlineSeconds": 600, "pushConfig": {{"pushEndpoint": "{url}"}}' if url else ""
    name = f"{function.replace('_', '-')}.{topic}" if function else topic
    return (
        f"curl -X PUT {declared.emulator}/v1/projects/{declared.project}/subscriptions/{name} "
        f"""-H 'Content-Type: application/json' -d '{{"topic": "projects/{declared.project}/topics/{topic}"{push}}}'"""
    )


def _delete_subscription(declared: Declared, name: str) -> str:
    if declared.emulator:
        return f"curl -X DELETE {declared.emulator}/v1/projects/{declared.project}/subscriptions/{name}"
    return f"gcloud pubsub subscriptions delete {name} --project={declared.project}"


def _clean(commit: str) -> str:
    return commit.removesuffix("-dirty")


def _short(commit: str) -> str:
    return _clean(commit)[:12]


def ranked(found: Iterable[Finding]) -> list[Finding]:
    """Errors first, then by area in the order of `AREAS`."""
    return sorted(found, key=lambda f: (f.severity != "error", AREAS.index(f.area)))
