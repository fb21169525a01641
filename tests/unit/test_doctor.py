"""What the doctor finds: one difference at a time between a deployment in order and the declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shared.catalogue import load_catalogue
from shared.doctor.declared import Declared, declared_tables, declared_topics, parse_table
from shared.doctor.diagnosis import findings, unchecked
from shared.doctor.facts import (
    Column,
    Grants,
    Job,
    NotChecked,
    NotThere,
    Observed,
    Running,
    Subscription,
    Table,
    observe,
)
from shared.doctor.finding import AREAS, Finding, ranked
from shared.errors import CannotObserve
from shared.ledger import TABLES
from shared.messages import DEAD_LETTER_TOPIC
from shared.pipeline import load_pipeline

CATALOGUE, PIPELINE = load_catalogue(), load_pipeline()
DECLARED = Declared(CATALOGUE, PIPELINE, "nba-props", " --project nba-props")
COMMIT = "a" * 40
PUSH, CLOCK = "push@nba-props.iam.gserviceaccount.com", "clock@nba-props.iam.gserviceaccount.com"
FUNCTION, SERVICE = "phase2_to_phase3", "gapless-phase2-to-phase3"
SUBSCRIPTION = f"{SERVICE}.nba-phase2-raw-complete"
TABLE = "nba_analytics.player_game_summary"


def url(name: str) -> str:
    return f"https://gapless-{name.replace('_', '-')}-x1y2-uc.a.run.app"


def account(name: str) -> str:
    return f"{name.replace('_', '-')}@nba-props.iam.gserviceaccount.com"


def healthy() -> Observed:
    """A deployment exactly as Terraform makes it."""
    functions, subscriptions, schedules = {}, {}, {}
    datasets = {d for f in CATALOGUE.functions.values() for d in (*f.reads, *f.writes)}
    publishers: dict[str, set[str]] = {topic: set() for topic in declared_topics(CATALOGUE)}
    readers: dict[str, set[str]] = {name: set() for name in datasets}
    writers: dict[str, set[str]] = {name: set() for name in datasets}
    for name, f in CATALOGUE.functions.items():
        service = f"gapless-{name.replace('_', '-')}"
        functions[service] = Running(
            name, url(name), COMMIT, account(name), frozenset({f"serviceAccount:{PUSH}", f"serviceAccount:{CLOCK}"}),
            True, f.timeout_seconds, {"GAPLESS_COMMIT": COMMIT, **f.environment}, frozenset(f.secrets), 403,
        )  # fmt: skip
        for topic in f.topics:
            subscriptions[f"{service}.{topic}"] = Subscription(
                topic, url(name), url(name), PUSH, 600, DEAD_LETTER_TOPIC, None
            )
        for key, s in f.schedules.items():
            schedules[f"{service}-{key}"] = Job(s.cron, s.zone, url(name), "POST", s.body, url(name), CLOCK)
        member = f"serviceAccount:{account(name)}"
        for names, holders in ((f.publishes, publishers), (f.reads, readers), (f.writes, writers)):
            for each in names:
                holders[each].add(member)
    subscriptions[DEAD_LETTER_TOPIC] = Subscription(DEAD_LETTER_TOPIC)
    tables = declared_tables(PIPELINE) | {view: Table({"x": Column("STRING")}) for view in PIPELINE.views.values()}
    frozen: list[Mapping[str, frozenset[str]]] = [
        {name: frozenset(members) for name, members in holders.items()} for holders in (publishers, readers, writers)
    ]
    return Observed(
        tables, frozenset(declared_topics(CATALOGUE)), subscriptions, schedules, functions, Grants(*frozen),
        {"slack": ""}, {COMMIT: 0},
    )  # fmt: skip


def with_table(seen: Observed, **changes: Any) -> Observed:
    assert not isinstance(seen.tables, NotChecked)
    return replace(seen, tables={**seen.tables, TABLE: replace(seen.tables[TABLE], **changes)})


def with_column(seen: Observed, name: str, column: Column | None) -> Observed:
    assert not isinstance(seen.tables, NotChecked)
    columns = {key: value for key, value in seen.tables[TABLE].columns.items() if key != name}
    return with_table(seen, columns=columns | ({name: column} if column else {}))


def without(seen: Observed, area: str, *names: str) -> Observed:
    there = getattr(seen, area)
    if isinstance(there, frozenset):
        return replace(seen, **{area: there - set(names)})
    return replace(seen, **{area: {name: value for name, value in there.items() if name not in names}})


def changed(seen: Observed, area: str, name: str, **changes: Any) -> Observed:
    there = getattr(seen, area)
    return replace(seen, **{area: {**there, name: replace(there[name], **changes)}})


def added(seen: Observed, area: str, **things: Any) -> Observed:
    return replace(seen, **{area: {**getattr(seen, area), **things}})


def granted(seen: Observed, kind: str, name: str, members: frozenset[str]) -> Observed:
    assert not isinstance(seen.grants, NotChecked)
    return replace(seen, grants=replace(seen.grants, **{kind: {**getattr(seen.grants, kind), name: members}}))


def test_a_deployment_in_order_has_no_findings() -> None:
    assert findings(DECLARED, healthy()) == []
    assert unchecked(healthy()) == {}


Change = Callable[[Observed], Observed]
elsewhere = "https://gapless-old-x1y2-uc.a.run.app"
SCAN = f"{SERVICE}-scan"

CASES: dict[str, tuple[Change, str, str, str, str]] = {
    # change, area, severity, what is said, what is in the fix
    "a table is missing": (
        lambda s: without(s, "tables", TABLE), "tables", "error", f"{TABLE} does not exist",
        "gapless init --project nba-props",
    ),
    "a view is missing": (
        lambda s: without(s, "tables", "nba_processing.processing_metadata"), "tables", "error",
        "the view nba_processing.processing_metadata does not exist", "gapless init",
    ),
    "a column is missing": (
        lambda s: with_column(s, "points", None), "tables", "error", f"{TABLE} has no column points INT64",
        f"ALTER TABLE `{TABLE}` ADD COLUMN points INT64",
    ),
    "a type that can be widened": (
        lambda s: with_column(s, "usage_rate", Column("INT64")), "tables", "error", f"{TABLE}.usage_rate is INT64",
        f"ALTER TABLE `{TABLE}` ALTER COLUMN usage_rate SET DATA TYPE NUMERIC",
    ),
    "a type that cannot": (
        lambda s: with_column(s, "points", Column("STRING", True)), "tables", "error",
        f"{TABLE}.points is STRING, declared is INT64", "REPLACE (CAST(points AS INT64) AS points)",
    ),
    "a column refuses NULL": (
        lambda s: with_column(s, "nba_game_id", Column("STRING", True)), "tables", "error",
        "refuses NULL, which the declaration allows", "DROP NOT NULL",
    ),
    "an undeclared column refuses NULL": (
        lambda s: with_column(s, "extra", Column("STRING", True)), "tables", "error",
        "extra is not declared and refuses NULL", "DROP NOT NULL",
    ),
    "not partitioned": (
        lambda s: with_table(s, partitioned_by=""), "tables", "warning",
        "is partitioned by nothing, declared is game_date", "PARTITION BY game_date",
    ),
    "not clustered": (
        lambda s: with_table(s, clustered_by=()), "tables", "warning", "is clustered by nothing, declared is game_id",
        "--clustering_fields=game_id",
    ),
    "a topic is missing": (
        lambda s: without(s, "topics", "gapless-run"), "topics", "error", "the topic gapless-run does not exist",
        "terraform",
    ),
    "a subscription is missing": (
        lambda s: without(s, "subscriptions", SUBSCRIPTION), "subscriptions", "error",
        f"nothing delivers nba-phase2-raw-complete to {FUNCTION}", "terraform",
    ),
    "a subscription delivers to where the function was": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, endpoint=elsewhere), "subscriptions", "error",
        f"{SUBSCRIPTION} delivers to {elsewhere}, but {FUNCTION} is at {url(FUNCTION)}", "terraform",
    ),
    "everything is delivered twice": (
        lambda s: added(s, "subscriptions", eventarc=s.subscriptions[SUBSCRIPTION]),  # type: ignore[index]
        "subscriptions", "error", "every message is worked on twice", "gcloud pubsub subscriptions delete gapless-ph",
    ),
    "a leftover delivers our topic to nobody": (
        lambda s: added(s, "subscriptions", old=Subscription("gapless-run", elsewhere)), "subscriptions", "error",
        f"old delivers gapless-run to {elsewhere}, which is no function here", "delete old --project=nba-props",
    ),
    "a topic is delivered to a function that does not listen": (
        lambda s: added(s, "subscriptions", odd=replace(
            s.subscriptions[SUBSCRIPTION], topic="nba-phase6-export-complete")),  # type: ignore[index]
        "subscriptions", "error", f"to {FUNCTION}, which does not listen to it", "delete odd",
    ),
    "a message is delivered again while it is worked on": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, ack_seconds=10), "subscriptions", "error",
        "delivers again after 10 s, while phase2_to_phase3 may take 540 s", "--ack-deadline=600",
    ),
    "no dead letters": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, dead_letter=""), "subscriptions", "warning",
        "sends what cannot be delivered nowhere", "--dead-letter-topic=gapless-dead-letter",
    ),
    "nobody keeps dead letters": (
        lambda s: without(s, "subscriptions", DEAD_LETTER_TOPIC), "subscriptions", "error", "dead letters are lost",
        "terraform",
    ),
    "a subscription expires in summer": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, expires_days=31.0), "subscriptions", "warning",
        "is deleted after 31 days without messages", "--expiration-period=never",
    ),
    "tokens for another audience": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, audience=elsewhere), "subscriptions", "error",
        f"has tokens for {elsewhere}", f"--push-auth-token-audience={url(FUNCTION)}",
    ),
    "a schedule is missing": (
        lambda s: without(s, "schedules", SCAN), "schedules", "error",
        f"the schedule scan of {FUNCTION} does not exist", "terraform",
    ),
    "a schedule calls another address": (
        lambda s: changed(s, "schedules", SCAN, url=elsewhere), "schedules", "error",
        f"{SCAN} calls {elsewhere} instead of {url(FUNCTION)}", "terraform",
    ),
    "a schedule at another hour": (
        lambda s: changed(s, "schedules", SCAN, cron="5 4 * * *"), "schedules", "error",
        "runs at '5 4 * * *', declared is '5 * * * *'", "--schedule='5 * * * *'",
    ),
    "a schedule in another zone": (
        lambda s: changed(s, "schedules", SCAN, zone="America/New_York"), "schedules", "error",
        "runs in America/New_York, declared is Etc/UTC", "--time-zone=Etc/UTC",
    ),
    "a schedule asks for something else": (
        lambda s: changed(s, "schedules", SCAN, body={"scan": True}), "schedules", "error",
        "sends POST {'scan': True}, declared is POST {'scan_for_gaps': True}", "terraform",
    ),
    "a paused schedule": (
        lambda s: changed(s, "schedules", SCAN, paused=True), "schedules", "warning", f"{SCAN} is paused",
        f"gcloud scheduler jobs resume {SCAN}",
    ),
    "a schedule whose calls fail": (
        lambda s: changed(s, "schedules", SCAN, last_error="code 7"), "schedules", "warning",
        f"the last call of {SCAN} failed: code 7", "deploy.probe",
    ),
    "a schedule twice": (
        lambda s: added(s, "schedules", zz=s.schedules[SCAN]), "schedules", "error",  # type: ignore[index]
        "it is called twice", "gcloud scheduler jobs delete zz",
    ),
    "a function has an undeclared schedule": (
        lambda s: added(s, "schedules", zz=replace(s.schedules[SCAN], body={"x": 1})),  # type: ignore[index]
        "schedules", "warning", "zz calls phase2_to_phase3 with {'x': 1}, which is not declared", "delete zz",
    ),
    "a function is deployed twice": (
        lambda s: added(s, "functions", zz=s.functions[SERVICE]), "functions", "error",  # type: ignore[index]
        f"{FUNCTION} is deployed 2 times", "gcloud functions delete zz",
    ),
    "an orphan": (
        lambda s: added(s, "functions", zz=replace(
            s.functions[SERVICE], function="gone", url=elsewhere)),  # type: ignore[index]
        "functions", "warning", "zz is deployed and not declared", "gcloud functions delete zz",
    ),
    "a failed deployment": (
        lambda s: changed(s, "functions", SERVICE, active=False), "functions", "error", "is not active", "terraform",
    ),
    "another timeout": (
        lambda s: changed(s, "functions", SERVICE, timeout_seconds=60), "functions", "error",
        "may take 60 s, declared is 540 s", "terraform",
    ),
    "a lost secret": (
        lambda s: changed(s, "functions", "gapless-gap-detector", secrets=frozenset()), "functions", "warning",
        "does not get its secret GAPLESS_SLACK_WEBHOOK", "filled_secrets",
    ),
    "a function that does not answer": (
        lambda s: changed(s, "functions", SERVICE, anonymous=0), "functions", "error", "does not answer at https://",
        "deploy.probe",
    ),
    "nothing at its address": (
        lambda s: changed(s, "functions", SERVICE, anonymous=404), "functions", "error", "answers 404", "deploy.probe",
    ),
    "a function answers strangers": (
        lambda s: changed(s, "functions", SERVICE, anonymous=405), "iam", "error",
        "answers without a token (405): anybody may call it", "terraform",
    ),
    "a function is public": (
        lambda s: changed(s, "functions", SERVICE, invokers=frozenset({"allUsers"})), "iam", "error",
        f"anybody may call {SERVICE} (allUsers)", "remove-invoker-policy-binding",
    ),
    "a dataset without its reader": (
        lambda s: granted(s, "readers", "nba_raw", frozenset(
            s.grants.readers["nba_raw"] - {f"serviceAccount:{account(FUNCTION)}"})),  # type: ignore[union-attr]
        "iam", "error", "may not read the dataset nba_raw", "terraform",
    ),
    "a topic without its publisher": (
        lambda s: granted(s, "publishers", "nba-grading-complete", frozenset()), "iam", "error",
        "may not publish to the topic nba-grading-complete", "terraform",
    ),
    "a deployment behind": (
        lambda s: replace(s, behind={COMMIT: 3}), "commit", "warning",
        f"{SERVICE} runs aaaaaaaaaaaa, 3 commits behind this checkout", "deploy.bundle",
    ),
    "a dead alert channel": (
        lambda s: replace(s, channels={"slack": "it answers 404"}), "channels", "error", "slack: it answers 404",
        "secret",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_difference_is_found_with_its_fix(name: str) -> None:
    change, area, severity, what, fix = CASES[name]
    found = findings(DECLARED, change(healthy()))
    assert found
    matching = [f for f in found if what in f.what]
    assert len(matching) == 1 or name == "a deployment behind", found
    assert (matching[0].area, matching[0].severity) == (area, severity)
    assert fix in matching[0].fix
    several = {"a deployment behind"}  # every function runs that commit
    assert len(found) == 1 or name in several, found


def test_a_function_that_is_not_deployed_is_one_finding_and_not_one_for_each_of_its_parts() -> None:
    found = findings(DECLARED, without(healthy(), "functions", SERVICE))
    assert [f.what for f in found] == [f"{FUNCTION} is declared and not deployed"]


def test_callers_that_lost_their_right_are_named_one_by_one() -> None:
    found = findings(DECLARED, changed(healthy(), "functions", SERVICE, invokers=frozenset()))
    assert {f.area for f in found} == {"iam"}
    assert f"{SUBSCRIPTION} calls {SERVICE} as {PUSH}, which may not" in {f.what for f in found}
    assert f"{SCAN} calls {SERVICE} as {CLOCK}, which may not" in {f.what for f in found}
    assert all(f"add-invoker-policy-binding {SERVICE}" in f.fix for f in found)


@pytest.mark.parametrize(("commit", "what"), [
    ("", "does not tell its commit"), ("unknown", "does not tell its commit"),
    (f"{COMMIT}-dirty", "with changes that are in no commit"), ("b" * 40, "functions run different commits"),
])  # fmt: skip
def test_a_commit_that_is_not_the_others_or_none(commit: str, what: str) -> None:
    found = findings(DECLARED, changed(healthy(), "functions", SERVICE, commit=commit))
    assert any(what in f.what for f in found)
    assert {(f.area, f.severity) for f in found} == {("commit", "warning")}


def test_other_peoples_subscriptions_of_a_shared_topic_are_their_own_business() -> None:
    theirs = Subscription("nba-phase3-analytics-complete", "https://phase4-service.example/process")
    assert findings(DECLARED, added(healthy(), "subscriptions", theirs=theirs)) == []


def test_an_address_may_differ_in_what_does_not_matter() -> None:
    shouted = url(FUNCTION).upper().replace("HTTPS", "https") + "/"
    seen = changed(healthy(), "subscriptions", SUBSCRIPTION, endpoint=shouted)
    assert findings(DECLARED, seen) == []


def test_columns_that_the_declaration_does_not_know_are_left_alone() -> None:
    assert findings(DECLARED, with_column(healthy(), "note", Column("STRING"))) == []
    # the audit asks for what is required; a table of old need not
    assert findings(DECLARED, with_column(healthy(), "points", Column("INT64"))) == []


def test_on_an_emulator_fixes_are_requests_to_it() -> None:
    declared = replace(DECLARED, project="gapless-local", emulator="http://$PUBSUB_EMULATOR_HOST")
    found = findings(declared, without(healthy(), "topics", "gapless-run"))
    assert found[0].fix == "curl -X PUT http://$PUBSUB_EMULATOR_HOST/v1/projects/gapless-local/topics/gapless-run"


# --------------------------------------------------------------------------------------------------- not checked


@dataclass
class Fake:
    """A deployment of which some areas cannot be looked at."""

    seen: Observed = field(default_factory=healthy)
    failing: Mapping[str, Exception] = field(default_factory=dict)

    def __getattr__(self, area: str) -> Callable[..., Any]:
        def look(*_: Any) -> Any:
            if area in self.failing:
                raise self.failing[area]
            return 0 if area == "behind" else getattr(self.seen, area)

        return look


def test_everything_that_is_observed_arrives() -> None:
    assert observe(Fake()) == healthy()


@pytest.mark.parametrize("area", ["tables", "topics", "subscriptions", "schedules", "functions", "grants", "channels"])
@pytest.mark.parametrize("error", [CannotObserve("no permission"), NotThere("none here")])
def test_what_cannot_be_looked_at_is_told_and_is_neither_a_finding_nor_fine(area: str, error: Exception) -> None:
    seen = observe(Fake(failing={area: error}))
    assert findings(DECLARED, seen) == []
    missed = unchecked(seen)
    name = "iam" if area == "grants" else area
    assert missed[name] == NotChecked(str(error), failed=isinstance(error, CannotObserve))
    if area == "functions":
        assert {"commit", "subscriptions: addresses", "schedules: addresses"} <= set(missed)


def test_a_bug_in_a_look_is_not_taken_for_something_that_could_not_be_looked_at() -> None:
    with pytest.raises(ZeroDivisionError):
        observe(Fake(failing={"topics": ZeroDivisionError()}))


def test_parts_of_an_area_that_cannot_be_told_are_named() -> None:
    seen = changed(healthy(), "functions", SERVICE, invokers=None)
    assert findings(DECLARED, seen) == []
    assert f"iam: invokers of {SERVICE}" in unchecked(seen)
    seen = replace(healthy(), behind={COMMIT: None})
    assert findings(DECLARED, seen) == []
    assert "is not known here; run: git fetch" in unchecked(seen)[f"commit: {SERVICE}"].why
    seen = replace(healthy(), channels={"slack": NotChecked("no permission"), "mail": ""})
    assert findings(DECLARED, seen) == []
    assert unchecked(seen) == {"channels: slack": NotChecked("no permission")}
    seen = with_table(healthy(), clustered_by=None)
    assert findings(DECLARED, seen) == []
    assert list(unchecked(seen)) == ["tables: clustering"]


# ------------------------------------------------------------------------------------------------------- declared


def test_the_declared_tables_are_those_that_are_created() -> None:
    tables = declared_tables(PIPELINE)
    assert set(tables) == {p.table for p in PIPELINE.processors.values()} | {f"{PIPELINE.ledger}.{n}" for n in TABLES}
    for p in PIPELINE.processors.values():
        seen = tables[p.table]
        assert {name: (c.type, c.required) for name, c in seen.columns.items()} == {
            **{c.name: (c.type, c.required) for c in p.columns.values()},
            **{name: (kind, False) for name, kind in p.engine_columns.items()},
        }
        assert seen.partitioned_by == p.date_column


def test_a_statement_is_read_with_sizes_partitions_and_clusters() -> None:
    text = "CREATE TABLE x (\n  a STRING NOT NULL,\n  b NUMERIC(5,2), c DATE\n)\nPARTITION BY c\nCLUSTER BY a, b"
    assert parse_table(text) == Table(
        {"a": Column("STRING", True), "b": Column("NUMERIC(5,2)"), "c": Column("DATE")}, "c", ("a", "b")
    )


def test_errors_come_first() -> None:
    found = [Finding("tables", "w", "warning", ""), Finding("channels", "e", "error", "")]
    assert [f.what for f in ranked(found)] == ["e", "w"]
    assert {f.area for change, *_ in CASES.values() for f in findings(DECLARED, change(healthy()))} == set(AREAS)
