"""What the doctor finds: one difference at a time between a deployment in order and the declaration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.declare.pipeline import load_pipeline
from gapless.doctor.declared import (
    DELIVERY,
    PROJECT_ROLE,
    Declared,
    declared_datasets,
    declared_tables,
    declared_topics,
    parse_table,
)
from gapless.doctor.diagnosis import findings, unchecked
from gapless.doctor.facts import (
    Capacity,
    DeployedFunction,
    Grants,
    Job,
    NotChecked,
    NotThere,
    Observed,
    Subscription,
    Table,
    TableColumn,
    observe,
)
from gapless.doctor.finding import AREAS, Difference, ranked
from gapless.errors import CannotObserve
from gapless.ledger import TABLES
from gapless.messages import DEAD_LETTER_TOPIC
from tests.conftest import ROOT

CATALOGUE, PIPELINE = load_catalogue(), load_pipeline()
DECLARED = Declared(CATALOGUE, PIPELINE, "nba-props", " --project nba-props")
COMMIT = "a" * 40
PUSH, CLOCK = "push@nba-props.iam.gserviceaccount.com", "clock@nba-props.iam.gserviceaccount.com"
FUNCTION, SERVICE = "phase2_to_phase3", "gapless-phase2-to-phase3"
SUBSCRIPTION = f"{SERVICE}.nba-phase2-raw-complete"
TABLE, RAW = "nba_analytics.player_game_summary", "nba_raw.nbac_schedule"


def url(name: str) -> str:
    return f"https://gapless-{name.replace('_', '-')}-x1y2-uc.a.run.app"


def account(name: str) -> str:
    return f"{name.replace('_', '-')}@nba-props.iam.gserviceaccount.com"


def of_dataset(name: str) -> list[str]:
    return [table for table in (*declared_tables(PIPELINE), *PIPELINE.views.values()) if table.startswith(f"{name}.")]


def healthy() -> Observed:
    """A deployment exactly as Terraform makes it."""
    functions, subscriptions, schedules = {}, {}, {}
    datasets = {d for f in CATALOGUE.functions.values() for d in (*f.reads, *f.writes)}
    publishers: dict[str, set[str]] = {topic: set() for topic in declared_topics(CATALOGUE)}
    readers: dict[str, set[str]] = {name: set() for name in datasets}
    writers: dict[str, set[str]] = {name: set() for name in datasets}
    for name, f in CATALOGUE.functions.items():
        service = f"gapless-{name.replace('_', '-')}"
        functions[service] = DeployedFunction(
            name, url(name), COMMIT, account(name), frozenset({f"serviceAccount:{PUSH}", f"serviceAccount:{CLOCK}"}),
            True, f.timeout_seconds, {"GAPLESS_COMMIT": COMMIT, **f.environment}, frozenset(f.secrets), 403,
            capacity=Capacity(f.memory_mb, f.cpu, f.concurrency, f.min_instances, f.max_instances),
        )  # fmt: skip
        for topic in f.topics:
            subscriptions[f"{service}.{topic}"] = Subscription(
                topic, url(name), url(name), PUSH, 600, DEAD_LETTER_TOPIC, None, (10.0, 600.0), 20
            )
        for key, s in f.schedules.items():
            schedules[f"{service}-{key}"] = Job(s.cron, s.zone, url(name), "POST", s.body, url(name), CLOCK)
        member = f"serviceAccount:{account(name)}"
        for names, holders in ((f.publishes, publishers), (f.reads, readers), (f.writes, writers)):
            for each in names:
                holders[each].add(member)
    subscriptions[DEAD_LETTER_TOPIC] = Subscription(DEAD_LETTER_TOPIC)
    tables = declared_tables(PIPELINE) | {view: Table({"x": TableColumn("STRING")}) for view in PIPELINE.views.values()}
    frozen: list[Mapping[str, frozenset[str]]] = [
        {name: frozenset(members) for name, members in holders.items()} for holders in (publishers, readers, writers)
    ]
    tables = {name: replace(seen, rows=7) for name, seen in tables.items()}
    project = {PROJECT_ROLE: frozenset(f"serviceAccount:{account(name)}" for name in CATALOGUE.functions)}
    return Observed(
        frozenset(declared_datasets(PIPELINE)), tables, frozenset(declared_topics(CATALOGUE)), subscriptions, schedules,
        functions, Grants(*frozen, project), {"slack": ""}, {COMMIT: 0},
    )  # fmt: skip


def with_table(seen: Observed, **changes: Any) -> Observed:
    assert not isinstance(seen.tables, NotChecked)
    return replace(seen, tables={**seen.tables, TABLE: replace(seen.tables[TABLE], **changes)})


def with_column(seen: Observed, name: str, column: TableColumn | None) -> Observed:
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


def roles(seen: Observed, **members: str) -> Observed:
    """More roles on the project, each without its `roles/`, a dot as an underscore."""
    assert not isinstance(seen.grants, NotChecked)
    assert not isinstance(seen.grants.project, NotChecked)
    more = {f"roles/{role.replace('_', '.')}": frozenset({member}) for role, member in members.items()}
    return replace(seen, grants=replace(seen.grants, project={**seen.grants.project, **more}))


def sized(seen: Observed, **changes: Any) -> Observed:
    assert not isinstance(seen.functions, NotChecked)
    capacity = seen.functions[SERVICE].capacity
    assert capacity
    return changed(seen, "functions", SERVICE, capacity=replace(capacity, **changes))


def emptied(seen: Observed, *names: str) -> Observed:
    assert not isinstance(seen.tables, NotChecked)
    return replace(seen, tables={k: replace(v, rows=0) if k in names else v for k, v in seen.tables.items()})


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
        lambda s: without(s, "tables", TABLE), "tables", "error", f"{TABLE} does not exist, its dataset does",
        "gapless init --project nba-props",
    ),
    "a dataset is missing": (
        lambda s: without(without(s, "datasets", "nba_analytics"), "tables", *of_dataset("nba_analytics")), "tables",
        "error", "the dataset nba_analytics does not exist; declared are in it player_game_summary, ",
        "terraform -chdir=terraform apply, then: gapless init --project nba-props",
    ),
    "a dataset is there and bare": (
        lambda s: without(s, "tables", *of_dataset("nba_analytics")), "tables", "error",
        "the dataset nba_analytics is there, and nothing in it; declared are player_game_summary, ", "gapless init",
    ),
    "the place for what is staged is missing": (
        lambda s: without(s, "datasets", PIPELINE.staging), "tables", "error",
        f"the dataset {PIPELINE.staging} does not exist; no repair can be staged", "terraform",
    ),
    "the ledger has no first row": (
        lambda s: emptied(s, f"{PIPELINE.ledger}.attempts"), "tables", "error",
        "attempts is there and empty: without its first row nothing can be claimed", "gapless init --project nba-props",
    ),
    "nothing was loaded yet": (
        lambda s: emptied(s, *(p.table for p in PIPELINE.processors.values())), "tables", "note",
        "tables of processors are there and empty: nothing was loaded yet", "gapless load FILES --project nba-props",
    ),
    "a raw table is empty": (
        lambda s: emptied(s, RAW), "tables", "note", f"{RAW} is there and empty, others have rows", "gapless load",
    ),
    "a derived table is empty": (
        lambda s: emptied(s, TABLE), "tables", "note", f"{TABLE} is there and empty, others have rows", "gapless scan",
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
        lambda s: with_column(s, "usage_rate", TableColumn("INT64")), "tables", "error", f"{TABLE}.usage_rate is INT64",
        f"ALTER TABLE `{TABLE}` ALTER COLUMN usage_rate SET DATA TYPE NUMERIC",
    ),
    "a type that cannot": (
        lambda s: with_column(s, "points", TableColumn("STRING", True)), "tables", "error",
        f"{TABLE}.points is STRING, declared is INT64", "REPLACE (CAST(points AS INT64) AS points)",
    ),
    "a column refuses NULL": (
        lambda s: with_column(s, "nba_game_id", TableColumn("STRING", True)), "tables", "error",
        "refuses NULL, which the declaration allows", "DROP NOT NULL",
    ),
    "an undeclared column refuses NULL": (
        lambda s: with_column(s, "extra", TableColumn("STRING", True)), "tables", "error",
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
    "a shorter wait for an answer that is long enough": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, ack_seconds=560), "subscriptions", "warning",
        f"{SUBSCRIPTION} waits 560 s for an answer, declared are 600 s",
        f"gcloud pubsub subscriptions update {SUBSCRIPTION} --project=nba-props --ack-deadline=600",
    ),
    "no retry policy": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, retry_seconds=None), "subscriptions", "warning",
        f"{SUBSCRIPTION} delivers again at once when {FUNCTION} fails, declared is after 10 to 600 s",
        f"update {SUBSCRIPTION} --project=nba-props --min-retry-delay=10s --max-retry-delay=600s",
    ),
    "another retry policy": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, retry_seconds=(0.5, 60.0)), "subscriptions", "warning",
        "delivers again after 0.5 to 60 s when", "--min-retry-delay=10s --max-retry-delay=600s",
    ),
    "dead letters too soon": (
        lambda s: changed(s, "subscriptions", SUBSCRIPTION, attempts=5), "subscriptions", "warning",
        f"{SUBSCRIPTION} sets a message aside after 5 deliveries, declared are 20",
        "--dead-letter-topic=gapless-dead-letter --max-delivery-attempts=20",
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
        f"the last call of {SCAN} failed: code 7", "gapless.deploy.probe",
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
    "too little memory": (
        lambda s: sized(s, memory_mb=256), "functions", "error",
        f"{SERVICE} has 256 MB of memory, declared are 512 MB: a large batch is killed", "terraform",
    ),
    "too much memory": (
        lambda s: sized(s, memory_mb=2048), "functions", "warning",
        f"{SERVICE} has 2048 MB of memory, declared are 512 MB", "terraform",
    ),
    "another processor": (
        lambda s: sized(s, cpu=0.583), "functions", "warning", "CPUs: 0.583, declared is 1", "terraform",
    ),
    "several calls in one instance": (
        lambda s: sized(s, concurrency=80), "functions", "warning",
        "calls at a time in one instance: 80, declared is 1", "terraform",
    ),
    "instances that wait": (
        lambda s: sized(s, min_instances=1), "functions", "warning", "instances at the least: 1, declared is 0",
        "terraform",
    ),
    "instances without a limit": (
        lambda s: sized(s, max_instances=None), "functions", "warning",
        "instances at the most: no limit, declared is 5", "terraform",
    ),
    "a lost secret": (
        lambda s: changed(s, "functions", "gapless-gap-detector", secrets=frozenset()), "functions", "warning",
        "does not get its secret GAPLESS_SLACK_WEBHOOK", "filled_secrets",
    ),
    "a function that does not answer": (
        lambda s: changed(s, "functions", SERVICE, anonymous=0), "functions", "error", "does not answer at https://",
        "gapless.deploy.probe",
    ),
    "nothing at its address": (
        lambda s: changed(s, "functions", SERVICE, anonymous=404), "functions", "error", "answers 404",
        "gapless.deploy.probe",
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
    "an account that may do everything": (
        lambda s: roles(s, editor=f"serviceAccount:{account(FUNCTION)}"), "iam", "warning",
        f"{account(FUNCTION)}, as which {SERVICE} runs, has roles/editor on the whole project; declared is "
        "roles/bigquery.jobUser there",
        f"gcloud projects remove-iam-policy-binding nba-props --member=serviceAccount:{account(FUNCTION)} "
        "--role=roles/editor --all",
    ),
    "an account that may do everything in BigQuery": (
        lambda s: roles(s, bigquery_admin=f"serviceAccount:{account(FUNCTION)}"), "iam", "warning",
        "has roles/bigquery.admin on the whole project", "--role=roles/bigquery.admin",
    ),
    "an account that may run nothing": (
        lambda s: roles(s, bigquery_jobUser=f"serviceAccount:{account(FUNCTION)}"), "iam", "error",
        f"may not run statements: declared is {PROJECT_ROLE} on the project, the account has no role there",
        "terraform",
    ),
    "a deployment behind": (
        lambda s: replace(s, behind={COMMIT: 3}), "commit", "warning",
        f"{SERVICE} runs aaaaaaaaaaaa, 3 commits behind this checkout", "gapless.deploy.bundle",
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
    several = {"a deployment behind", "an account that may run nothing"}  # for every function; for all but one
    assert len(matching) == 1 or name in several, found
    assert (matching[0].area, matching[0].severity) == (area, severity)
    assert fix in matching[0].fix
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


def test_an_account_of_several_functions_is_named_once_and_a_strangers_role_is_not_ours() -> None:
    seen = changed(healthy(), "functions", SERVICE, account=account("run_processor"))
    everybody = f"serviceAccount:{account('run_processor')}"
    found = [f.what for f in findings(DECLARED, roles(seen, owner=everybody)) if "roles/owner" in f.what]
    assert len(found) == 1
    assert f"{SERVICE}, gapless-run-processor" in found[0]
    assert findings(DECLARED, roles(healthy(), owner="user:a@example.org")) == []


def test_a_size_in_another_spelling_and_one_that_is_not_told_are_no_differences() -> None:
    """Google's console writes 512M for what Terraform calls 512Mi; which processor it chose is not always told."""
    assert findings(DECLARED, sized(healthy(), memory_mb=488, cpu=None)) == []
    assert findings(DECLARED, sized(healthy(), memory_mb=None)) == []


def test_a_table_that_nobody_counted_and_one_of_the_days_to_come_are_not_called_empty() -> None:
    upcoming = [p.table for p in PIPELINE.processors.values() if p.applies_to == "upcoming"]
    assert upcoming
    assert findings(DECLARED, emptied(healthy(), *upcoming)) == []
    assert findings(DECLARED, with_table(healthy(), rows=None)) == []


def test_where_datasets_cannot_be_looked_at_every_table_is_told_by_itself() -> None:
    seen = replace(healthy(), datasets=NotChecked("no permission"))
    assert findings(DECLARED, seen) == []
    assert unchecked(seen) == {"tables: datasets": NotChecked("no permission")}
    found = findings(DECLARED, without(seen, "tables", *of_dataset("nba_analytics")))
    assert [f.what for f in found] == [f"{name} does not exist" for name in of_dataset("nba_analytics")]


def test_the_declared_delivery_and_role_are_those_of_terraform() -> None:
    text = (ROOT / "terraform" / "subscriptions.tf").read_text(encoding="utf-8")
    told = dict(re.findall(r"^ +(ack_deadline_seconds|m\w+_backoff|max_delivery_attempts) += \"?(\d+)", text, re.M))
    least, most = DELIVERY.retry_seconds
    assert {name: int(value) for name, value in told.items()} == {
        "ack_deadline_seconds": DELIVERY.ack_seconds, "minimum_backoff": least, "maximum_backoff": most,
        "max_delivery_attempts": DELIVERY.attempts,
    }  # fmt: skip
    accounts = (ROOT / "terraform" / "accounts.tf").read_text(encoding="utf-8")
    assert re.findall(r"google_project_iam_member.*?role += \"([\w/.]+)\"", accounts, re.S) == [PROJECT_ROLE]


def test_other_peoples_subscriptions_of_a_shared_topic_are_their_own_business() -> None:
    theirs = Subscription("nba-phase3-analytics-complete", "https://phase4-service.example/process")
    assert findings(DECLARED, added(healthy(), "subscriptions", theirs=theirs)) == []


def test_an_address_may_differ_in_what_does_not_matter() -> None:
    shouted = url(FUNCTION).upper().replace("HTTPS", "https") + "/"
    seen = changed(healthy(), "subscriptions", SUBSCRIPTION, endpoint=shouted)
    assert findings(DECLARED, seen) == []


def test_columns_that_the_declaration_does_not_know_are_left_alone() -> None:
    assert findings(DECLARED, with_column(healthy(), "note", TableColumn("STRING"))) == []
    # the audit asks for what is required; a table of old need not
    assert findings(DECLARED, with_column(healthy(), "points", TableColumn("INT64"))) == []


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


@pytest.mark.parametrize("area", [
    "datasets", "tables", "topics", "subscriptions", "schedules", "functions", "grants", "channels",
])  # fmt: skip
@pytest.mark.parametrize("error", [CannotObserve("no permission"), NotThere("none here")])
def test_what_cannot_be_looked_at_is_told_and_is_neither_a_finding_nor_fine(area: str, error: Exception) -> None:
    seen = observe(Fake(failing={area: error}))
    assert findings(DECLARED, seen) == []
    missed = unchecked(seen)
    name = {"grants": "iam", "datasets": "tables: datasets"}.get(area, area)
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
    assert not isinstance(seen.grants, NotChecked)
    seen = replace(healthy(), grants=replace(seen.grants, project=NotChecked("no permission")))
    assert findings(DECLARED, seen) == []
    assert unchecked(seen) == {"iam: roles on the whole project": NotChecked("no permission")}
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
        {"a": TableColumn("STRING", True), "b": TableColumn("NUMERIC(5,2)"), "c": TableColumn("DATE")}, "c", ("a", "b")
    )


def test_errors_come_first() -> None:
    found = [Difference("tables", *rest, "") for rest in (("n", "note"), ("w", "warning"))] + [
        Difference("channels", "e", "error", "")
    ]
    assert [f.what for f in ranked(found)] == ["e", "w", "n"]
    assert {f.area for change, *_ in CASES.values() for f in findings(DECLARED, change(healthy()))} == set(AREAS)
