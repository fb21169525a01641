"""After a deployment: call every function and look at its answer. Nothing is changed by any of the calls.

Each function gets a body that is not JSON and a GET, which reach its own code and no table, and where there is one a
dry run, which looks at the tables as the real call would. Before anything is loaded some of these refuse to call empty
tables complete; that is "no data yet" and no failure: whoever says so was reached, and could read the tables.

    python -m gapless.deploy.probe --base-url https://us-central1-PROJECT.cloudfunctions.net
    python -m gapless.deploy.probe --urls urls.json          {"run_processor": "https://…", …}

Where functions are private: GAPLESS_ID_TOKEN=$(gcloud auth print-identity-token)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from gapless.declare.catalogue import Catalogue, Function, load_catalogue
from gapless.declare.pipeline import load_pipeline
from gapless.doctor.addresses import read_addresses
from gapless.errors import BadInput, GaplessError, NothingLoaded
from gapless.judge.verdicts import civil_today
from gapless.messages import day_of

TOKEN = "GAPLESS_ID_TOKEN"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Reply:
    """What came back; status 0 where nothing did, with the reason as the body."""

    status: int
    kind: str
    body: bytes
    seconds: float

    @property
    def told(self) -> dict[str, Any]:
        """The JSON object of the body; empty where there is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Call:
    """One harmless request, and what is wrong with an answer to it: nothing, or one sentence."""

    what: str
    method: str
    body: bytes | None
    judge: Callable[[Reply], str]


@dataclass(frozen=True)
class Result:
    """How one call went."""

    function: str
    call: Call
    reply: Reply

    @property
    def fault(self) -> str:
        return "" if self.no_data else self.call.judge(self.reply)

    @property
    def verdict(self) -> str:
        """How it went, in words."""
        if self.fault:
            return f"FAILED: {self.fault}"
        return f"no data yet: {self.no_data}" if self.no_data else "ok"

    @property
    def no_data(self) -> str:
        """What a function that works says of tables in which there is nothing; empty where it says anything else."""
        if self.call.judge is not _is_dry or (self.reply.status, self.reply.kind) != (424, PROBLEM):
            return ""
        told = self.reply.told
        return str(told.get("detail", ""))[:300] if told.get("reason") == NothingLoaded.reason else ""


def main() -> None:
    """Call everything, print a table; 0 if every answer was right or "no data yet", 1 if not, 2 for wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m gapless.deploy.probe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--base-url", help="every function is at this address, a slash and its name")
    where.add_argument("--urls", type=Path, help="JSON file: name of a function -> its address")
    parser.add_argument("--date", help="the date that dry runs look at (default: yesterday)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for an answer (default: 60)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these functions")
    given = parser.parse_args()
    try:
        catalogue = load_catalogue()
        names = _chosen(catalogue, given.only)
        addresses = read_addresses(catalogue, given.urls, given.base_url)
        day = day_of("--date", given.date) if given.date else _yesterday()
    except GaplessError as error:
        print(f"probe: {error}", file=sys.stderr)
        sys.exit(2)
    functions = [catalogue.functions[name] for name in names]
    results = probe(functions, addresses, day, os.environ.get(TOKEN, ""), given.timeout)
    print(table(results))
    sys.exit(1 if any(result.fault for result in results) else 0)


def probe(
    functions: Sequence[Function], addresses: Mapping[str, str], day: date, token: str = "", timeout: float = 60.0
) -> list[Result]:
    """Every call to every function, four at a time, in the order of the catalogue."""
    calls = [(function, call) for function in functions for call in calls_of(function, day)]

    def one(item: tuple[Function, Call]) -> Result:
        function, call = item
        address = addresses.get(function.name)
        if not address:
            return Result(function.name, call, Reply(0, "", b"there is no address for it", 0.0))
        return Result(function.name, call, send(address, call.method, call.body, token, timeout))

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, calls))


def calls_of(function: Function, day: date) -> list[Call]:
    """What a function is asked: everything refuses nonsense, and what can be run dry is."""
    if function.name == "dashboard":  # for people: it answers a GET
        return [Call("get", "GET", None, _is_a_page)]
    calls = [Call("malformed", "POST", b'{"', _is_a_problem), Call("get", "GET", None, _is_refused)]
    body: dict[str, Any] | None = None
    if function.name.startswith("phase"):
        body = {"start_date": day.isoformat(), "end_date": day.isoformat(), "dry_run": True}
    elif function.name in ("gap_detector", "upcoming_cleanup"):
        body = {"dry_run": True}
    return calls + ([Call("dry run", "POST", json.dumps(body).encode(), _is_dry)] if body else [])


def send(address: str, method: str, body: bytes | None, token: str, timeout: float) -> Reply:
    """One request, without following redirects: a token belongs to the address that was named."""
    headers = {"Content-Type": "application/json", "User-Agent": "gapless-probe"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(address, data=body, headers=headers, method=method)
    begin = time.monotonic()
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            body = response.read()
            return Reply(response.status, response.headers.get_content_type(), body, time.monotonic() - begin)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers.get_content_type(), error.read(), time.monotonic() - begin)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        return Reply(0, "", reason.encode(), time.monotonic() - begin)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def table(results: Sequence[Result]) -> str:
    """The results as text, and below them one sentence for each that is wrong."""
    width = max([len(result.function) for result in results] + [8])
    lines = [f"{'function':{width}}  {'call':9}  {'status':>6}  {'time':>8}  verdict"]
    for result in results:
        status = str(result.reply.status or "-")
        lines.append(
            f"{result.function:{width}}  {result.call.what:9}  {status:>6}  {result.reply.seconds:6.2f} s  "
            f"{result.verdict}"
        )
    wrong = sum(1 for result in results if result.fault)
    names = len({result.function for result in results})
    lines.append(f"{names} functions, {len(results)} calls, {wrong} failed" if wrong else f"{names} functions answer")
    waiting = sorted({result.function for result in results if result.no_data})
    if waiting:
        lines[-1] += f"; what {', '.join(waiting)} does with data is not known before some is loaded"
    return "\n".join(lines)


def _is_a_problem(reply: Reply) -> str:
    if reply.status != 400:
        return _instead(reply, "a malformed body has to be answered with 400")
    if reply.kind != PROBLEM:
        return f"400, but as {reply.kind or 'nothing'} and not as {PROBLEM}: something before the function answers"
    return "" if isinstance(reply.told.get("title"), str) else "400 without a title that says what is wrong"


def _is_refused(reply: Reply) -> str:
    return "" if reply.status == 405 else _instead(reply, "a GET has to be answered with 405")


def _is_a_page(reply: Reply) -> str:
    return "" if reply.status == 200 else _instead(reply, "a GET has to be answered with a page")


def _is_dry(reply: Reply) -> str:
    if reply.status != 200:
        return _instead(reply, "a dry run has to be answered with 200")
    if not reply.told:
        return "200 without a JSON object"
    return "it did not take the call for a dry run" if reply.told.get("dry_run") is False else ""


def _instead(reply: Reply, wanted: str) -> str:
    """Why a status is not the one that was wanted, as far as it tells."""
    status, detail = reply.status, str(reply.told.get("detail", ""))
    if status == 0:
        return f"no answer: {reply.body.decode(errors='replace')[:200]}"
    if status in (401, 403):
        return f"{status}: not allowed; set {TOKEN} to an identity token of an account with roles/run.invoker"
    if status == 404:
        return "404: there is no function at this address; compare it with: terraform output functions"
    if 300 <= status < 400:
        return f"{status}: redirected, which is not followed; name the address itself"
    if status in (424, 503) and detail:
        return f"{status}: {detail[:300]}"
    if status >= 500:
        more = f" ({detail[:200]})" if detail else ""
        return f"{status}: it fails before it answers; its log at severity ERROR says where{more}"
    return f"{wanted}, not with {status}{f' ({detail[:200]})' if detail else ''}"


def _chosen(catalogue: Catalogue, only: Sequence[str] | None) -> list[str]:
    strange = sorted(set(only or ()) - set(catalogue.functions))
    if strange:
        raise BadInput(f"there is no function '{strange[0]}'; the catalogue has {', '.join(catalogue.functions)}")
    return [name for name in catalogue.functions if not only or name in only]


def _yesterday() -> date:
    return civil_today(load_pipeline(), datetime.now(UTC)) - timedelta(days=1)


if __name__ == "__main__":
    main()
