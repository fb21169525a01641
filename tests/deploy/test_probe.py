"""The probe: one harmless call after the other to every function, and a sentence for each wrong answer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.deploy import bundle, probe
from tests.conftest import ROOT, Shop
from tests.deploy.conftest import Served
from tests.functions.conftest import Call, call

__all__ = ["call"]
DAY = date(2024, 1, 15)
PROBLEM = "application/problem+json"
EMPTY = "the tables are there and hold nothing at all; load raw data with: gapless load PATH"
NO_DATA = {"detail": EMPTY, "reason": "no_data"}
Answer = tuple[int, str, Mapping[str, object]]


class Fake:
    """A deployment whose functions answer as a test says; it writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes, str]] = []
        self.answers: dict[tuple[str, str], Answer] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                name = self.path.strip("/")
                outer.asked.append((name, self.command, body, self.headers.get("Authorization", "")))
                what = "get" if self.command == "GET" else "malformed" if body == b'{"' else "dry run"
                status, kind, told = outer.answers.get((name, what)) or outer.right(what)
                data = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if 300 <= status < 400:
                    self.send_header("Location", "http://127.0.0.1:9/stolen")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def right(what: str) -> Answer:
        return {
            "get": (405, PROBLEM, {"title": "use POST"}),
            "malformed": (400, PROBLEM, {"title": "the request is malformed"}),
            "dry run": (200, "application/json", {"dry_run": True, "triggered": 0}),
        }[what]


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


Probe = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run() -> Probe:
    def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gapless.deploy.probe", *words],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={"PATH": "", "PYTHONPATH": str(ROOT / "shared"), **environment},
        )  # fmt: skip

    return call


def test_every_function_is_called_and_right_answers_are_fine(fake: Fake, run: Probe) -> None:
    result = run("--base-url", fake.url + "/", "--date", "2024-01-15", GAPLESS_ID_TOKEN="secret")
    assert (result.returncode, result.stderr) == (0, "")
    names = [name for name in load_catalogue().functions if name != "dashboard"]
    assert {(name, "POST", b'{"') for name in names} <= {asked[:3] for asked in fake.asked}
    assert {(name, "GET", b"") for name in names} <= {asked[:3] for asked in fake.asked}
    assert {token for *_, token in fake.asked} == {"Bearer secret"}
    assert "secret" not in result.stdout
    dry = {name: json.loads(body) for name, method, body, _ in fake.asked if method == "POST" and body != b'{"'}
    assert dry["phase2_to_phase3"] == {"start_date": "2024-01-15", "end_date": "2024-01-15", "dry_run": True}
    assert dry["gap_detector"] == dry["upcoming_cleanup"] == {"dry_run": True}
    assert "run_processor" not in dry
    assert all(body["dry_run"] is True for body in dry.values())
    assert "FAILED" not in result.stdout


@pytest.mark.parametrize(("what", "answer", "sentence"), [
    ("malformed", (403, "text/html", {}), "403: not allowed; set GAPLESS_ID_TOKEN"),
    ("malformed", (500, "text/html", {}), "500: it fails before it answers"),
    ("malformed", (404, "text/html", {}), "404: there is no function at this address"),
    ("malformed", (200, "application/json", {}), "a malformed body has to be answered with 400, not with 200"),
    ("malformed", (400, "text/html", {}), "400, but as text/html and not as application/problem+json"),
    ("malformed", (400, PROBLEM, {}), "400 without a title"),
    ("get", (200, "text/html", {}), "a GET has to be answered with 405, not with 200"),
    ("get", (302, "text/html", {}), "302: redirected, which is not followed"),
    ("dry run", (424, PROBLEM, {"detail": "the ledger is empty"}), "424: the ledger is empty"),
    ("dry run", (424, PROBLEM, {"detail": EMPTY}), f"424: {EMPTY}"),  # a sentence is for people
    ("dry run", (424, PROBLEM, {"detail": EMPTY, "reason": "other"}), f"424: {EMPTY}"),
    ("dry run", (424, "text/html", NO_DATA), f"424: {EMPTY}"),
    ("dry run", (503, PROBLEM, NO_DATA), f"503: {EMPTY}"),
    ("malformed", (424, PROBLEM, NO_DATA), f"424: {EMPTY}"),
    ("dry run", (200, "application/json", {"dry_run": False}), "it did not take the call for a dry run"),
    ("dry run", (200, "text/html", {}), "200 without a JSON object"),
])  # fmt: skip
def test_a_wrong_answer_fails_with_one_sentence(
    fake: Fake, run: Probe, what: str, answer: Answer, sentence: str
) -> None:
    fake.answers["phase2_to_phase3", what] = answer
    result = run("--base-url", fake.url, "--only", "phase2_to_phase3", "run_processor")
    assert result.returncode == 1
    failed = [line for line in result.stdout.splitlines() if "FAILED" in line]
    assert len(failed) == 1
    assert failed[0].startswith(f"phase2_to_phase3  {what}")
    assert sentence in failed[0]
    assert result.stdout.splitlines()[-1] == "2 functions, 5 calls, 1 failed"


def test_no_data_yet_is_told_apart_from_what_does_not_work(fake: Fake, run: Probe) -> None:
    fake.answers["gap_detector", "dry run"] = (424, PROBLEM, NO_DATA)
    result = run("--base-url", fake.url, "--only", "run_processor", "gap_detector")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("gap_detector   dry run")]
    assert line.endswith(f"no data yet: {EMPTY}")
    assert "FAILED" not in result.stdout
    assert lines[-1] == "2 functions answer; what gap_detector does with data is not known before some is loaded"
    fake.answers["run_processor", "get"] = (500, "text/html", {})
    result = run("--base-url", fake.url, "--only", "run_processor", "gap_detector")
    assert result.returncode == 1
    assert result.stdout.count("FAILED") == 1


def test_what_functions_say_before_anything_is_loaded_is_no_failure(call: Call, chain: Shop) -> None:
    """The functions themselves, on tables in which there is nothing."""
    said: dict[str, str] = {}
    for name in ("phase2_to_phase3", "upcoming_cleanup", "gap_detector"):
        (asked,) = [each for each in probe.calls_of(load_catalogue().functions[name], DAY) if each.what == "dry run"]
        status, body, headers, _ = call(name, chain.gapless, json.loads(asked.body or b""))
        reply = probe.Reply(status, headers["Content-Type"], json.dumps(body).encode(), 0.0)
        result = probe.Result(name, asked, reply)
        assert result.fault == "", name
        said[name] = result.no_data
    assert said.pop("gap_detector").endswith("hold nothing at all; fill the sources first")
    assert set(said.values()) == {""}


def test_a_function_that_is_not_there_fails(run: Probe, tmp_path: Path) -> None:
    urls = tmp_path / "urls.json"
    urls.write_text(json.dumps({"run_processor": {"uri": "http://127.0.0.1:9"}}))
    result = run("--urls", str(urls), "--only", "run_processor", "gap_detector", "--timeout", "5")
    assert result.returncode == 1
    assert result.stdout.count("FAILED: no answer: ") == 5
    assert "there is no address for it" in result.stdout


@pytest.mark.parametrize(("words", "sentence"), [
    (("--base-url", "ftp://x"), "starts with https:// or http://"),
    (("--base-url", "http://x", "--only", "nobody"), "there is no function 'nobody'"),
    (("--base-url", "http://x", "--date", "2024-02-30"), "not a date that exists"),
    (("--urls", "nowhere.json"), "a JSON object of names and addresses is needed"),
    ((), "required"),
])  # fmt: skip
def test_wrong_use_is_2(run: Probe, words: tuple[str, ...], sentence: str) -> None:
    result = run(*words)
    assert result.returncode == 2
    assert sentence in result.stderr


def test_a_function_of_the_bundle_passes(tree: Path, tmp_path: Path, served: Served) -> None:
    bundle.write_folder(bundle.collect(tree), tmp_path / "bundle")
    url = served(tmp_path / "bundle", "run_processor", {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9"})
    function = load_catalogue().functions["run_processor"]
    results = probe.probe([function], {"run_processor": url}, DAY)
    assert [(result.call.what, result.reply.status, result.fault) for result in results] == [
        ("malformed", 400, ""), ("get", 405, ""),
    ]  # fmt: skip
