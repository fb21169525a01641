"""Terraform builds what is declared: the same tables as the engine's SQL, the same functions as the catalogue.

What Terraform makes of the declarations is asked of terraform itself, with the files that hold no resources: that takes
neither providers nor a network. Whether the resources are made of it is the business of `terraform test`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import deploy.ledger
from gapless import ledger
from gapless.declare.catalogue import DEFAULT_FILE as CATALOGUE_FILE
from gapless.declare.catalogue import Catalogue, load_catalogue
from gapless.declare.pipeline import DEFAULT_FILE, Pipeline, build_pipeline, load_pipeline
from gapless.declare.processor import ENGINE_COLUMNS
from gapless.warehouse.tables import create_table
from tests.conftest import ROOT, TINY

FOLDER = ROOT / "terraform"
PURE = ("catalogue.tf", "pipeline.tf", "variables.tf")  # they hold no resources and need no provider
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.tf"))}
TEXT = "\n".join(SOURCES.values())
NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}  # BigQuery's API -> GoogleSQL

Table = tuple[list[tuple[str, str, bool]], str | None, list[str]]  # columns (name, type, required), partition, cluster


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def table_of(sql: str) -> Table:
    """What a CREATE TABLE statement declares."""
    body, options = re.split(r"\)\s*(?=PARTITION BY|CLUSTER BY|$)", sql[sql.index("(") + 1 :], maxsplit=1)
    columns = []
    for text in re.split(r",\s+(?=[a-z])", body.strip()):
        name, kind = text.split(" ", 1)
        columns.append((name, kind.removesuffix(" NOT NULL"), kind.endswith(" NOT NULL")))
    partition = re.search(r"PARTITION BY (\w+)", options)
    cluster = re.search(r"CLUSTER BY ([\w, ]+)", options)
    return columns, partition[1] if partition else None, cluster[1].split(", ") if cluster else []


def table_in(declared: dict[str, Any]) -> Table:
    """The same of a table as Terraform makes it."""
    columns = []
    for column in declared["schema"]:
        kind = NAMES.get(column["type"], column["type"])
        if "precision" in column:
            kind += f"({column['precision']},{column['scale']})"
        columns.append((column["name"], kind, column["mode"] == "REQUIRED"))
    return columns, declared["partition"], declared["cluster"]


def expected_tables(pipeline: Pipeline) -> dict[str, Table]:
    tables = {p.table: table_of(create_table(p)) for p in pipeline.processors.values()}
    return tables | {
        ledger.table(pipeline.ledger, name): table_of(declared.create("x")) for name, declared in ledger.TABLES.items()
    }


def evaluated(folder: Path, expressions: dict[str, str], pipeline_file: Path = DEFAULT_FILE) -> Any:
    """What terraform makes of expressions over the files without resources."""
    terraform = shutil.which("terraform")
    if not terraform:
        pytest.skip("terraform is not installed")
    (folder / "terraform").mkdir()
    for name in (*PURE, "ledger.yaml"):
        shutil.copy(FOLDER / name, folder / "terraform")
    for source, target in (
        (CATALOGUE_FILE, "shared/gapless/functions/functions.yaml"),
        (pipeline_file, "shared/gapless/nba/pipeline.yaml"),
    ):
        (folder / target).parent.mkdir(parents=True)
        shutil.copy(source, folder / target)
    wanted = ", ".join(f"{name} = {expression}" for name, expression in expressions.items())
    result = subprocess.run(
        [terraform, "console", "-var", "project_id=some-project"],
        cwd=folder / "terraform",
        input=f"jsonencode({{ {wanted} }})\n",
        env={k: v for k, v in os.environ.items() if not k.startswith("TF_")} | {"CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(json.loads(result.stdout.strip().splitlines()[-1]))


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return evaluated(
        tmp_path_factory.mktemp("declared"),
        {
            "tables": "local.all_tables",
            "datasets": "local.all_datasets",
            "topics": "local.topics",
            "functions": "local.functions",
            "topic_uses": "local.topic_uses",
            "schedules": "local.schedules",
            "dataset_uses": "local.dataset_uses",
        },
    )


# ------------------------------------------------------------------------------------------------ tables


def test_tables_are_those_of_the_engines_sql(declared: Any, pipeline: Pipeline) -> None:
    """Columns in the same order, types, required, partition and clustering."""
    assert {name: table_in(table) for name, table in declared["tables"].items()} == expected_tables(pipeline)


def test_a_long_key_is_cut_as_the_engine_cuts_it(tmp_path: Path) -> None:
    """BigQuery clusters by four columns at most; no key of ours has more, so one is made."""
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    short = "key: [game_id, player_lookup, bookmaker, points_line]"
    assert short in text
    long = text.replace(
        short, "key: [game_id, points_line, game_date, player_lookup, bookmaker, player_name, nba_game_id]"
    )
    changed = tmp_path / "pipeline.yaml"
    changed.write_text(long, encoding="utf-8")
    folder = tmp_path / "there"
    folder.mkdir()
    tables = evaluated(folder, {"tables": "local.all_tables"}, changed)["tables"]
    expected = expected_tables(build_pipeline(yaml.safe_load(long), DEFAULT_FILE.parent / "sql"))
    assert {name: table_in(table) for name, table in tables.items()} == expected
    assert len(expected["nba_raw.odds_api_player_points_props"][2]) == 4


def test_columns_are_read_from_any_pipeline_that_is_written_like_ours(tmp_path: Path) -> None:
    """Terraform takes their order from the text; another pipeline file must not confuse it."""
    tables = evaluated(tmp_path, {"tables": "local.processor_tables"}, TINY / "pipeline.yaml")["tables"]
    raw = yaml.safe_load((TINY / "pipeline.yaml").read_text(encoding="utf-8"))
    assert {name: table["is_whole"] for name, table in tables.items()} == {
        p.table: True for p in build_pipeline(raw, TINY / "sql").processors.values()
    }


def test_a_table_whose_columns_cannot_be_read_in_order_is_refused(tmp_path: Path) -> None:
    """On one line they are valid YAML; what Terraform cannot order it must not make."""
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    start = text.index("    columns:", text.index("\n  shots:\n"))
    end = text.index("\n\n", start)
    columns = yaml.safe_load(text[start:end])["columns"]
    inline = "    columns: {" + ", ".join(f"{name}: {kind}" for name, kind in columns.items()) + "}"
    changed = tmp_path / "pipeline.yaml"
    changed.write_text(text[:start] + inline + text[end:], encoding="utf-8")
    folder = tmp_path / "there"
    folder.mkdir()
    tables = evaluated(folder, {"tables": "local.processor_tables"}, changed)["tables"]
    assert [name for name, table in tables.items() if not table["is_whole"]] == ["nba_raw.player_shots"]


def test_the_ledgers_tables_are_those_of_its_sql(pipeline: Pipeline) -> None:
    """The same as above for the ledger, without terraform."""
    tables = {}
    for name, table in yaml.safe_load((FOLDER / "ledger.yaml").read_text(encoding="utf-8")).items():
        columns = []
        for text in table["columns"]:
            column, kind, *required = text.split()
            assert required in ([], ["required"]), (name, text)
            columns.append((column, kind, bool(required)))
        tables[ledger.table(pipeline.ledger, name)] = (columns, table.get("partition"), table["cluster"])
    expected = expected_tables(pipeline)
    assert tables == {name: table for name, table in expected.items() if name.startswith(f"{pipeline.ledger}.")}


def test_the_ledgers_file_is_made_from_its_declaration() -> None:
    there = (FOLDER / "ledger.yaml").read_text(encoding="utf-8")
    assert there == deploy.ledger.text(), "terraform/ledger.yaml is not what is declared; run: python -m deploy.ledger"


def test_the_engines_columns_are_those_of_the_engine() -> None:
    found = re.search(r"engine_columns = \[(.*)\]", SOURCES["pipeline.tf"])
    assert found
    assert re.findall(r'"([^"]+)"', found[1]) == [f"{name} {kind}" for name, kind in ENGINE_COLUMNS.items()]


def test_datasets_are_those_that_init_creates(declared: Any, pipeline: Pipeline) -> None:
    assert set(declared["datasets"]) == (
        {p.dataset for p in pipeline.processors.values()}
        | {pipeline.ledger, pipeline.staging}
        | {view.split(".")[0] for view in pipeline.views.values()}
    )


# --------------------------------------------------------------------------------------------- functions


def test_functions_are_those_of_the_catalogue(declared: Any, catalogue: Catalogue) -> None:
    """With the defaults filled in as the engine fills them in."""
    functions = {
        name: {key: value for key, value in function.items() if key != "service"}
        for name, function in declared["functions"].items()
    }
    assert functions == {
        name: json.loads(function.model_dump_json(exclude={"name"})) for name, function in catalogue.functions.items()
    }


def test_each_use_of_a_topic_and_each_schedule_is_one(declared: Any, catalogue: Catalogue) -> None:
    assert set(declared["topic_uses"]) == {f"{f.name}/{t}" for f in catalogue.functions.values() for t in f.topics}
    assert set(declared["schedules"]) == {f"{f.name}/{s}" for f in catalogue.functions.values() for s in f.schedules}


def test_topics_are_those_of_the_pipeline_and_the_catalogue(
    declared: Any, pipeline: Pipeline, catalogue: Catalogue
) -> None:
    own = {p.topic for p in pipeline.processors.values() if p.topic}
    assert set(declared["topics"]) == {*pipeline.topics.values(), *own, *catalogue.topics}


def test_everything_that_a_function_names_exists(pipeline: Pipeline, catalogue: Catalogue) -> None:
    topics = {*pipeline.topics.values(), *(p.topic for p in pipeline.processors.values()), *catalogue.topics}
    datasets = {p.dataset for p in pipeline.processors.values()} | {pipeline.ledger, pipeline.staging}
    for function in catalogue.functions.values():
        assert {*function.topics, *function.publishes} <= topics, function.name
        assert {*function.reads, *function.writes} <= datasets, function.name


def test_who_may_write_a_dataset_has_one_role_on_it(declared: Any, catalogue: Catalogue) -> None:
    expected: dict[str, str] = {}
    for function in catalogue.functions.values():
        expected |= {f"{function.name}/{dataset}": "roles/bigquery.dataViewer" for dataset in function.reads}
        expected |= {f"{function.name}/{dataset}": "roles/bigquery.dataEditor" for dataset in function.writes}
    assert {key: use["role"] for key, use in declared["dataset_uses"].items()} == expected


def test_names_of_services_and_accounts_fit(declared: Any) -> None:
    """An account's name has 30 characters at most, and neither has an underscore."""
    for function in declared["functions"].values():
        assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", function["service"])


# ------------------------------------------------------------------------------------------------- files


def blocks(kind: str) -> dict[str, str]:
    """The text of every block of a kind, by its last label."""
    found = re.findall(rf'^{kind} (?:"[\w-]+" )?"([\w-]+)" \{{\n(.*?)^\}}', TEXT, re.MULTILINE | re.DOTALL)
    return dict(found)


def test_every_variable_is_described_and_typed() -> None:
    assert set(blocks("variable")) >= {"project_id", "region", "location", "mode", "invokers"}
    for name, body in blocks("variable").items():
        assert re.search(r"^  description = ", body, re.MULTILINE), name
        assert re.search(r"^  type\s+= ", body, re.MULTILINE), name
    for name, body in blocks("output").items():
        assert re.search(r"^  description = ", body, re.MULTILINE), name


def test_the_first_apply_only_reports() -> None:
    assert re.search(r'^  default     = "report"$', blocks("variable")["mode"], re.MULTILINE)


def test_every_variable_is_explained_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in blocks("variable") if f"`{name}`" not in readme] == []


def test_the_example_names_variables_that_exist() -> None:
    example = (FOLDER / "example.tfvars").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)\s+=", example, re.MULTILINE)) <= set(blocks("variable"))


def test_nothing_is_open_to_everybody() -> None:
    """The names stand in refusals only."""
    code = "\n".join(line for line in TEXT.splitlines() if "error_message" not in line)
    assert "allUsers" not in code
    assert "allAuthenticatedUsers" not in code


def test_nobody_owns_or_edits_the_project() -> None:
    granted = set(re.findall(r'"(roles/[\w.]+)"', TEXT))
    assert granted == {
        "roles/artifactregistry.writer",
        "roles/bigquery.dataEditor",
        "roles/bigquery.dataViewer",
        "roles/bigquery.jobUser",
        "roles/iam.serviceAccountTokenCreator",
        "roles/logging.logWriter",
        "roles/pubsub.publisher",
        "roles/pubsub.subscriber",
        "roles/run.invoker",
        "roles/secretmanager.secretAccessor",
        "roles/storage.objectViewer",
    }
    of_project = re.findall(r'^resource "google_project_iam_\w+" "(\w+)"', TEXT, re.MULTILINE)
    assert set(of_project) == {"build_logs", "build_source", "jobs"}


def test_no_resource_names_a_function() -> None:
    """They come from the catalogue; a name here would be a copy of it."""
    for name in load_catalogue().functions:
        assert not re.search(rf"\b{name}\b", TEXT), name


def test_lines_are_short() -> None:
    files = [path for pattern in ("*.tf", "*.yaml", "*.tfvars", "tests/*.hcl") for path in FOLDER.glob(pattern)]
    long = [
        f"{path.name}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120
    ]
    assert long == []
