"""gapless doctor on the embedded warehouse: what it finds, what it could not look at, how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gapless.cli import doctor
from gapless.declare.catalogue import load_catalogue
from gapless.doctor.facts import NotThere
from tests.conftest import Result, Shop, plain

REVENUE = "shop_mart.revenue"
pytestmark = pytest.mark.run(command="doctor")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBSUB_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT", "K_SERVICE"):
        monkeypatch.delenv(name, raising=False)


def findings(result: Result) -> list[dict[str, Any]]:
    assert result.err == ""
    found = json.loads(result.out)["findings"]
    assert isinstance(found, list)
    return found


@pytest.fixture
def served() -> Iterator[Callable[[int], str]]:
    """Something at an address that answers every request with one status."""
    servers: list[ThreadingHTTPServer] = []

    def serve(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_tables_as_declared_are_fine_and_what_is_not_there_is_not_called_fine(run: Callable[..., Result]) -> None:
    result = run()
    assert (result.code, result.err) == (0, "")
    text = plain(result.out)
    assert " ok tables not checked: " in text
    for area in ("topics", "subscriptions", "schedules", "functions", "commit", "iam", "channels"):
        assert f"not checked: {area}: " in text
    assert "not checked: tables: clustering: the emulator does not keep it" in text


def test_as_json(run: Callable[..., Result]) -> None:
    result = run("--json")
    told = json.loads(result.out)
    assert (result.code, told["ok"], told["findings"]) == (0, True, [])
    assert {note["severity"] for note in told["notes"]} == {"note"}
    assert {each["what"] for each in told["not_checked"]} >= {"topics", "functions", "iam", "channels"}
    assert not any(each["failed"] for each in told["not_checked"])


def test_a_missing_table_is_found_and_its_fix_mends_it(
    run: Callable[..., Result], gapless: Callable[..., Result], chain: Shop
) -> None:
    chain.gapless.warehouse.drop(REVENUE)
    result = run("--json")
    assert result.code == 1
    assert [(f["area"], f["severity"], f["what"]) for f in findings(result)] == [
        ("tables", "error", f"{REVENUE} does not exist, its dataset does")
    ]
    fix = findings(result)[0]["fix"]
    assert fix == f"gapless init --home {chain.home}"
    assert gapless(*fix.split()[1:]).code == 0
    assert run().code == 0


def test_before_the_first_load_empty_tables_are_a_note_and_no_finding(run: Callable[..., Result], chain: Shop) -> None:
    result = run()
    assert result.code == 0
    text = plain(result.out)
    assert "note tables: all 4 tables of processors are there and empty: nothing was loaded yet" in text
    assert "do: fill the sources" in text
    assert "findings" not in text
    chain.sell(date(2024, 2, 1), date(2024, 2, 1))
    notes = json.loads(run("--json").out)["notes"]
    assert [(note["what"], note["fix"].split(" --")[0]) for note in notes] == [
        (f"{name} is there and empty, others have rows", "gapless scan")
        for name in ("shop_mart.revenue", "shop_mart.forecast", "shop_mart.standing")
    ]


def test_a_ledger_without_its_first_row_is_found_and_its_fix_mends_it(
    run: Callable[..., Result], gapless: Callable[..., Result], chain: Shop
) -> None:
    """As Terraform leaves it."""
    chain.run(f"DELETE FROM {chain.ledger_table('attempts')} WHERE TRUE")
    result = run("--json")
    assert result.code == 1
    (found,) = findings(result)
    assert (found["severity"], "without its first row nothing can be claimed" in found["what"]) == ("error", True)
    assert gapless(*found["fix"].split()[1:]).code == 0
    assert run().code == 0


def test_a_table_whose_date_is_no_date_is_found_and_not_counted(run: Callable[..., Result], chain: Shop) -> None:
    chain.gapless.warehouse.drop(REVENUE)
    try:
        chain.run(f"CREATE TABLE `{REVENUE}` (day STRING)")
        result = run("--json")
        assert result.code == 1
        assert f"{REVENUE}.day is STRING, declared is DATE" in {f["what"] for f in findings(result)}
    finally:
        chain.gapless.warehouse.drop(REVENUE)
        chain.gapless.create()


def test_a_dataset_that_is_not_there_is_told_from_one_that_is(chain: Shop) -> None:
    from gapless.gcp.admin import BigQueryAdmin

    admin = BigQueryAdmin(chain.gapless.settings)
    assert admin.datasets(["shop_raw", "shop_nowhere", "shop_mart"]) == {"shop_raw", "shop_mart"}


def remade(chain: Shop, types: dict[str, str | None]) -> None:
    """The revenue table made anew, without partitions, with other types; without a column where its type is None."""
    p = chain.pipeline.processor("revenue")
    kinds: dict[str, str | None] = {c.name: c.type for c in p.columns.values()} | p.engine_columns | types
    chain.gapless.warehouse.drop(REVENUE)
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items() if kind)
    partition = "" if types.get("amount_cents") else f" PARTITION BY {p.date_column}"
    chain.run(f"CREATE TABLE `{REVENUE}` ({columns}){partition}")


@pytest.fixture
def damaged(chain: Shop) -> Iterator[Callable[[dict[str, str | None]], None]]:
    """Makes the revenue table anew as a test says, and as it is declared afterwards."""
    yield lambda types: remade(chain, types)
    chain.gapless.warehouse.drop(REVENUE)
    chain.gapless.create()


def test_a_missing_column_is_found_and_its_fix_mends_it(
    run: Callable[..., Result], chain: Shop, damaged: Callable[[dict[str, str | None]], None]
) -> None:
    damaged({"inputs_hash": None})
    result = run("--json")
    assert result.code == 1
    assert [f["what"] for f in findings(result)] == [f"{REVENUE} has no column inputs_hash INT64"]
    chain.run(findings(result)[0]["fix"])
    assert run().code == 0


def test_a_wrong_type_is_found_and_told_to_a_person(
    run: Callable[..., Result], damaged: Callable[[dict[str, str | None]], None]
) -> None:
    damaged({"inputs_hash": "STRING"})
    result = run()
    assert result.code == 1
    text = plain(result.out)
    assert f"error tables: {REVENUE}.inputs_hash is STRING, declared is INT64 fix: CREATE TABLE" in text
    assert "REPLACE (CAST(inputs_hash AS INT64) AS inputs_hash)" in text
    assert text.rstrip().endswith("1 findings, 1 of them errors")


def test_a_table_without_partitions_is_found_and_its_fix_mends_it(
    run: Callable[..., Result], chain: Shop, damaged: Callable[[dict[str, str | None]], None]
) -> None:
    damaged({"amount_cents": "INT64"})
    result = run("--json")
    assert result.code == 1
    assert [f["severity"] for f in findings(result)] == ["warning"]
    assert "is partitioned by nothing, declared is " in findings(result)[0]["what"]
    for statement in findings(result)[0]["fix"].split("; "):
        chain.run(statement)
    assert run().code == 0


def test_functions_at_local_addresses_are_asked_whether_they_answer(
    run: Callable[..., Result], served: Callable[[int], str], tmp_path: Path
) -> None:
    answers, broken = served(405), served(500)
    names = list(load_catalogue().functions)
    addresses = dict.fromkeys(names[2:], answers) | {names[0]: broken}
    urls = tmp_path / "urls.json"
    urls.write_text(json.dumps(addresses))
    result = run("--json", "--urls", urls)
    assert result.code == 1
    assert {f["what"] for f in findings(result)} == {
        f"{names[0]} answers 500 at {broken}", f"{names[1]} is declared and not deployed",
    }  # fmt: skip


@pytest.mark.parametrize(("status", "code"), [(400, 0), (200, 0), (404, 1), (410, 1), (500, 1)])
def test_an_alert_channel_has_to_answer(
    run: Callable[..., Result], served: Callable[[int], str], monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    """A live Slack webhook refuses an empty message with 400, and posts nothing."""
    monkeypatch.setenv("GAPLESS_SLACK_WEBHOOK", served(status))
    result = run("--json")
    assert result.code == code
    assert [f["what"] for f in findings(result)] == ([f"slack: it answers {status}"] if code else [])


def test_the_address_of_a_webhook_is_never_printed(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAPLESS_SLACK_WEBHOOK", "https://127.0.0.1:9/services/T0/B0/secret")
    result = run()
    assert result.code == 1
    assert "slack: it does not answer" in result.out
    assert "B0/secret" not in result.out


def test_what_should_be_there_and_cannot_be_looked_at_is_4(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr("gapless.gcp.admin.ADMIN_SECONDS", 1.0)
    result = run("--json")
    assert result.code == 4
    told = json.loads(result.out)
    assert told["ok"] is False
    failed = {each["what"]: each["why"] for each in told["not_checked"] if each["failed"]}
    assert set(failed) == {"topics", "subscriptions"}
    assert "Pub/Sub did not answer" in failed["topics"]


def test_a_commit_is_counted_by_what_it_deploys(chain: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    monkeypatch.setattr(doctor, "_ROOT", tmp_path)
    look = doctor.Deployed(chain.gapless, load_catalogue(), False, {}, ())
    with pytest.raises(NotThere, match="no git checkout"):
        look.behind("a" * 40)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]

    def commit(name: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", name]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
        told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
        return told.stdout.strip()

    first = commit("shared/gapless/a.py")
    assert look.behind(first) == 0
    commit("docs.md")
    assert look.behind(first) == 0, "documents deploy nothing"
    commit("shared/gapless/functions/b.py")
    commit("requirements.txt")
    assert look.behind(first) == 2
    assert look.behind("0" * 40) is None
    assert look.behind("--output=x") is None


@pytest.mark.parametrize(("words", "sentence"), [
    (("--base-url", "x"), "is not an address"),
    (("--urls", "pyproject.toml"), "a JSON object of names and addresses is needed"),
    (("--urls", "pyproject.toml", "--base-url", "http://x"), "give one of them"),
])  # fmt: skip
def test_wrong_use_is_2(run: Callable[..., Result], words: tuple[str, ...], sentence: str) -> None:
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert sentence in plain(result.err)
