"""The catalogue agrees with the folders, the pipeline, the messages and the documents: what drifts apart fails here."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
import yaml

from gapless.declare.catalogue import DEFAULT_FILE, Catalogue, Function, load_catalogue
from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.declare.processor import Processor
from gapless.deploy.probe import calls_of
from gapless.errors import BadInput
from gapless.messages import DEAD_LETTER_TOPIC, RUN_TOPIC
from gapless.observe.observer import ancestors
from tests.conftest import ROOT

CATALOGUE: Catalogue = load_catalogue()
PIPELINE: Pipeline = load_pipeline()
FUNCTIONS = list(CATALOGUE.functions.values())
PHASES = {"phase2_to_phase3": 3, "phase3_to_phase4": 4, "phase4_to_phase5": 5, "phase5_to_phase6": 6}
each = pytest.mark.parametrize("function", FUNCTIONS, ids=[function.name for function in FUNCTIONS])


def datasets_of(phase: int) -> set[str]:
    """The datasets of a phase's own tables and of everything that they build on."""
    own = [p.name for p in PIPELINE.processors.values() if p.phase == phase]
    return {p.dataset for p in ancestors(PIPELINE, own)}


COMPLETIONS = {PIPELINE.topic_of(p) for p in PIPELINE.processors.values()} - {None} | set(PIPELINE.topics.values())
DATASETS = {p.dataset for p in PIPELINE.processors.values()}


# ---------------------------------------------------------------------------------------------------- the folders


def test_every_folder_has_an_entry_and_every_entry_a_folder() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/main.py")}
    assert folders == set(CATALOGUE.functions)


@each
def test_the_callable_has_the_functions_name(function: Function) -> None:
    module = importlib.import_module(f"functions.{function.name}.main")
    assert callable(getattr(module, function.name))
    assert function.source == f"gapless/functions/{function.name}.py"
    assert (module.__doc__ or "").strip(), "it says what it does"


@each
def test_something_calls_it_and_the_probe_knows_how(function: Function) -> None:
    assert function.topics or function.schedules or function.name == "dashboard"
    assert calls_of(function, PIPELINE.history_start)


def test_the_phases_of_the_pipeline_each_have_a_function_that_starts_them() -> None:
    assert {name for name in CATALOGUE.functions if name.startswith("phase")} == set(PHASES)
    started = {p.phase for p in PIPELINE.processors.values() if p.run != "none"}
    assert started == set(PHASES.values())


# ------------------------------------------------------------------------------------------------------ the topics


@each
def test_it_listens_and_publishes_to_topics_that_exist(function: Function) -> None:
    known = COMPLETIONS | set(CATALOGUE.topics)
    assert set(function.topics) <= known
    assert set(function.publishes) <= known
    assert len(set(function.topics)) == len(function.topics)


def test_our_own_topics_are_those_of_the_messages() -> None:
    assert set(CATALOGUE.topics) == {RUN_TOPIC, DEAD_LETTER_TOPIC}
    assert not set(CATALOGUE.topics) & COMPLETIONS


@each
def test_who_takes_messages_can_set_the_bad_ones_aside(function: Function) -> None:
    if function.topics:
        assert DEAD_LETTER_TOPIC in function.publishes


def test_runs_are_asked_for_on_a_topic_that_run_processor_alone_listens_to() -> None:
    assert [f.name for f in FUNCTIONS if RUN_TOPIC in f.topics] == ["run_processor"]
    for name in PHASES:
        assert RUN_TOPIC in CATALOGUE.functions[name].publishes


def test_run_processor_publishes_every_completion_that_it_announces_and_every_run_that_it_asks_for() -> None:
    """Both ways: it may publish nothing else."""
    own = [p for p in PIPELINE.processors.values() if p.run == "sql"]
    wanted = {PIPELINE.topic_of(p) for p in own} - {None}
    wanted |= {p.run_topic for p in PIPELINE.processors.values() if p.run == "pubsub"}
    if any(read_in_its_phase(PIPELINE, p) for p in own):
        wanted.add(RUN_TOPIC)  # what follows inside a phase
    assert wanted | {DEAD_LETTER_TOPIC} == set(CATALOGUE.functions["run_processor"].publishes)


def read_in_its_phase(pipeline: Pipeline, p: Processor) -> bool:
    """Whether anything that can be run reads it in its own phase."""
    same = (q for q in pipeline.processors.values() if q.phase == p.phase and q.run != "none")
    return any(p.name in q.upstream for q in same)


def heard(pipeline: Pipeline, phase: int) -> set[str | None]:
    """The topics that the function of a phase has to hear.

    Of earlier phases all that its phase reads, for a date may skip a phase, as in a season's first days; but of raw
    tables the first phase only. Of its own phase what another service fills: after the runs that it makes itself,
    run_processor asks for what follows.
    """
    members = [p for p in pipeline.processors.values() if p.phase == phase and p.run != "none"]
    read = [pipeline.processors[name] for name in {name for p in members for name in p.upstream}]
    earlier = [p for p in read if p.phase < phase and (p.phase > 2 or phase == 3)]
    others = [p for p in read if p.phase == phase and p.run != "sql"]
    return {topic for p in (*earlier, *others) if (topic := pipeline.topic_of(p))}


@pytest.mark.parametrize("name", PHASES)
def test_a_phase_function_hears_of_what_its_phase_reads_and_of_nothing_else(name: str) -> None:
    """Too few, and what is ready waits for the hourly scan; too many, and it looks at the tables for nothing."""
    assert set(CATALOGUE.functions[name].topics) == heard(PIPELINE, PHASES[name])


@pytest.mark.parametrize(("name", "phase"), [("player_composite_factors", 4), ("player_prop_predictions", 5)])
def test_a_processor_that_another_service_runs_is_heard_by_its_own_phase_where_that_reads_it(
    name: str, phase: int
) -> None:
    """Only its announcement says that its data is there; who changes `run` in the pipeline file is told so here."""
    outside = PIPELINE.processors[name].model_copy(update={"run": "http", "endpoint": "https://there.example/start"})
    changed = replace(PIPELINE, processors={**PIPELINE.processors, name: outside})
    assert heard(changed, phase) - heard(PIPELINE, phase) == {PIPELINE.topic_of(outside)}
    last = {4: "ml_feature_store_v2", 5: "prediction_accuracy"}[phase]  # nothing of its phase reads it
    unread = PIPELINE.processors[last].model_copy(update={"run": "http", "endpoint": "https://there.example/start"})
    assert heard(replace(PIPELINE, processors={**PIPELINE.processors, last: unread}), phase) == heard(PIPELINE, phase)


def test_nobody_is_called_by_a_completion_that_concerns_only_later_phases() -> None:
    for name, phase in PHASES.items():
        later = {topic for number, topic in PIPELINE.topics.items() if number > phase}
        assert not later & set(CATALOGUE.functions[name].topics)


# ---------------------------------------------------------------------------------------------------- the datasets


@each
def test_it_reads_and_writes_datasets_that_exist(function: Function) -> None:
    known = DATASETS | {PIPELINE.ledger, PIPELINE.staging}
    assert set(function.reads) | set(function.writes) <= known
    assert not set(function.reads) & set(function.writes), "who writes, reads"


@pytest.mark.parametrize("name", PHASES)
def test_a_phase_function_may_read_all_that_its_look_reads_and_write_the_ledger_only(name: str) -> None:
    function = CATALOGUE.functions[name]
    assert datasets_of(PHASES[name]) <= {*function.reads, *function.writes}
    assert set(function.writes) == {PIPELINE.ledger}


def test_run_processor_writes_what_it_fills_and_reads_what_that_builds_on() -> None:
    function = CATALOGUE.functions["run_processor"]
    filled = {p.dataset for p in PIPELINE.processors.values() if p.run == "sql"}
    assert filled | {PIPELINE.ledger, PIPELINE.staging} <= set(function.writes)
    assert {*function.reads, *function.writes} >= DATASETS | {PIPELINE.ledger}
    sources = {p.dataset for p in PIPELINE.processors.values() if p.run == "none"} - filled
    assert not sources & set(function.writes), "what others fill is not ours to write"


def test_the_gap_detector_may_look_at_everything_and_change_nothing_of_it() -> None:
    function = CATALOGUE.functions["gap_detector"]
    assert set(function.reads) >= DATASETS
    assert set(function.writes) == {PIPELINE.ledger}


# ------------------------------------------------------------------------------------------- calls, size, documents


@each
def test_schedules_run_in_zones_that_exist_and_at_hours_that_every_day_has(function: Function) -> None:
    for schedule in function.schedules.values():
        ZoneInfo(schedule.zone)
        minute, hour, *_ = schedule.cron.split()
        assert minute.isdigit(), "a schedule runs at a minute of its own"
        if schedule.zone not in ("Etc/UTC", "UTC"):
            # between 01:00 and 03:00 an hour is skipped in spring, and one comes twice in autumn
            assert hour.isdigit()
            assert not 1 <= int(hour) < 3


def test_no_two_schedules_fall_on_the_same_minute_of_the_hour() -> None:
    hourly = [s.cron for f in FUNCTIONS for s in f.schedules.values() if s.cron.split()[1] == "*"]
    assert len(set(hourly)) == len(hourly)


@each
def test_its_limits_fit_together(function: Function) -> None:
    assert function.timeout_seconds < 600, "after 600 s Pub/Sub delivers again"
    assert function.min_instances <= function.max_instances
    assert not set(function.secrets) & set(function.environment)


@each
def test_the_environment_that_it_gets_is_read_by_somebody(function: Function) -> None:
    settings = (ROOT / "shared" / "gapless" / "declare" / "settings.py").read_text(encoding="utf-8")
    for variable in (*function.secrets, *function.environment):
        assert f'"{variable}"' in settings, variable
        assert f"`{variable}`" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), variable


@each
def test_the_documents_tell_of_it_and_of_the_hour_at_which_it_is_called(function: Function) -> None:
    text = (ROOT / "docs" / "functions.md").read_text(encoding="utf-8")
    line = next((line for line in text.splitlines() if line.startswith("|") and f"`{function.name}`" in line), "")
    assert line, "docs/functions.md has no row for it"
    for schedule in function.schedules.values():
        minute, hour, *_ = schedule.cron.split()
        if hour.isdigit():
            assert f"{int(hour):02}:{int(minute):02}" in line
            assert (schedule.zone == "America/New_York") == ("US Eastern" in line)
        else:
            assert "hourly" in line


def test_the_documents_name_no_function_that_does_not_exist() -> None:
    text = (ROOT / "docs" / "functions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \| [^|]+ \| [^|]+ \|$", text.partition("## ")[0], flags=re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(CATALOGUE.functions)


def test_the_documents_tell_of_our_own_topics() -> None:
    text = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    for topic in CATALOGUE.topics:
        assert f"`{topic}`" in text, topic


def test_the_catalogue_is_read_strictly(tmp_path_factory: pytest.TempPathFactory) -> None:
    raw = yaml.safe_load(DEFAULT_FILE.read_text(encoding="utf-8"))
    raw["functions"]["run_processor"]["memroy_mb"] = 1
    path = tmp_path_factory.mktemp("catalogue") / "functions.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(BadInput, match=r"run_processor\.memroy_mb"):
        load_catalogue(path)
