"""What a deployment is observed to be. Each area is looked at once; what could not be looked at says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gapless.errors import CannotObserve

T = TypeVar("T")
COMMIT_VARIABLE = "GAPLESS_COMMIT"


@dataclass(frozen=True)
class TableColumn:
    """A column as the warehouse or a declaration has it."""

    type: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """A table or view; `clustered_by` is None where the warehouse does not tell."""

    columns: Mapping[str, TableColumn]
    partitioned_by: str = ""
    clustered_by: tuple[str, ...] | None = ()
    rows: int | None = None  # None where nobody counted


@dataclass(frozen=True)
class Capacity:
    """What an instance of a function has, None where that is not told, and how many there may be."""

    memory_mb: int | None
    cpu: float | None
    concurrency: int
    min_instances: int
    max_instances: int | None  # None: no limit of its own


@dataclass(frozen=True)
class DeployedFunction:
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
    capacity: Capacity | None = None  # None where nothing can tell


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
    retry_seconds: tuple[float, float] | None = None  # least and most; None: delivered again at once
    attempts: int = 0  # deliveries before a message is a dead letter


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
class NotChecked:
    """An area that nobody looked at, and why; `failed` says that it should have been possible."""

    why: str
    failed: bool = True


@dataclass(frozen=True)
class Grants:
    """Who may do what, as IAM members: publish to a topic, read a dataset, write it; and who has which role on all."""

    publishers: Mapping[str, frozenset[str]]
    readers: Mapping[str, frozenset[str]]
    writers: Mapping[str, frozenset[str]]
    project: Mapping[str, frozenset[str]] | NotChecked  # by role; of folders and organisations nothing is known


class NotThere(Exception):
    """There is nothing of this kind to be looked at here, and nobody expects it."""


class Deployment(Protocol):
    """What is deployed. A method raises `NotThere` where it has no business, `CannotObserve` where it failed."""

    def datasets(self) -> frozenset[str]: ...
    def tables(self) -> Mapping[str, Table]: ...
    def topics(self) -> frozenset[str]: ...
    def subscriptions(self) -> Mapping[str, Subscription]: ...
    def schedules(self) -> Mapping[str, Job]: ...
    def functions(self) -> Mapping[str, DeployedFunction]: ...
    def grants(self) -> Grants: ...
    def channels(self) -> Mapping[str, str | NotChecked]:
        """Name of an alert channel -> what is wrong with it, or nothing."""
        ...

    def behind(self, commit: str) -> int | None:
        """How many commits that concern a deployment came after a commit; None where it is not known here."""
        ...


@dataclass(frozen=True)
class Observed:
    """Everything that was looked at, each area from one moment."""

    datasets: frozenset[str] | NotChecked
    tables: Mapping[str, Table] | NotChecked
    topics: frozenset[str] | NotChecked
    subscriptions: Mapping[str, Subscription] | NotChecked
    schedules: Mapping[str, Job] | NotChecked
    functions: Mapping[str, DeployedFunction] | NotChecked
    grants: Grants | NotChecked
    channels: Mapping[str, str | NotChecked] | NotChecked
    behind: Mapping[str, int | None] | NotChecked


def observe(deployment: Deployment) -> Observed:
    """Look at every area once."""
    functions = _looked(deployment.functions)
    behind: Mapping[str, int | None] | NotChecked
    if isinstance(functions, NotChecked):
        behind = functions
    else:
        commits = sorted({in_git(f.commit) for f in functions.values() if f.commit and in_git(f.commit) != "unknown"})
        behind = _looked(lambda: {commit: deployment.behind(commit) for commit in commits})
    return Observed(
        _looked(deployment.datasets),
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


def in_git(commit: str) -> str:
    """A commit without the mark of changes that are in none."""
    return commit.removesuffix("-dirty")


def short(commit: str) -> str:
    """A commit as people read it."""
    return in_git(commit)[:12]
