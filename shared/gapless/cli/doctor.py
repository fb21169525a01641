"""gapless doctor"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from gapless.cli.chosen import open_gapless, print_json, words
from gapless.declare.catalogue import DEFAULT_FILE, Catalogue, load_catalogue
from gapless.doctor import DEPLOYED_PATHS
from gapless.doctor.addresses import read_addresses
from gapless.doctor.declared import Declared, declared_datasets, declared_topics
from gapless.doctor.diagnosis import findings, unchecked
from gapless.doctor.facts import DeployedFunction, Grants, Job, NotChecked, NotThere, Subscription, Table, observe
from gapless.doctor.finding import AREAS, Difference, ranked
from gapless.doctor.tables import warehouse_tables
from gapless.errors import CannotObserve
from gapless.wiring import Gapless

_ROOT = DEFAULT_FILE.parents[3]  # the checkout, where it is one
_SECONDS = 15
_WEBHOOK = "GAPLESS_SLACK_WEBHOOK"
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


def run(
    urls: Path | None,
    base_url: str | None,
    region: tuple[str, ...],
    as_json: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    gapless = open_gapless(project, home, now)
    catalogue = load_catalogue()
    settings = gapless.settings
    on_cloud = not (settings.local or settings.emulator)
    declared = Declared(
        catalogue,
        gapless.pipeline,
        settings.project,
        words(**{"--project": project, "--home": home}),
        "" if on_cloud else "http://$PUBSUB_EMULATOR_HOST",
    )
    addresses = read_addresses(catalogue, urls, base_url)
    observed = observe(Deployed(gapless, catalogue, on_cloud, addresses, region))
    told = ranked(findings(declared, observed))
    missed = unchecked(observed)
    if as_json:
        print_json(_as_json(settings.project, told, missed))
    else:
        _show(Console(), told, missed)
    sys.exit(_exit_code(told, missed))


def _exit_code(told: Sequence[Difference], missed: Mapping[str, NotChecked]) -> int:
    if _faults(told):
        return 1
    return CannotObserve.exit_code if _has_failed(missed) else 0


def _faults(told: Sequence[Difference]) -> list[Difference]:
    """What is wrong; notes are not."""
    return [finding for finding in told if finding.severity != "note"]


def _has_failed(missed: Mapping[str, NotChecked]) -> bool:
    return any(each.failed for each in missed.values())


def _as_json(project: str, told: Sequence[Difference], missed: Mapping[str, NotChecked]) -> dict[str, Any]:
    faults = _faults(told)
    notes = [finding for finding in told if finding.severity == "note"]
    return {
        "ok": not faults and not _has_failed(missed),
        "project": project,
        "findings": [dataclasses.asdict(finding) for finding in faults],
        "notes": [dataclasses.asdict(finding) for finding in notes],
        "not_checked": [{"what": what, "why": each.why, "failed": each.failed} for what, each in missed.items()],
    }


@dataclass
class Deployed:
    """The `Deployment` of a project, or as much of one as there is on a laptop."""

    gapless: Gapless
    catalogue: Catalogue
    on_cloud: bool
    addresses: Mapping[str, str]
    region: Sequence[str]

    @property
    def project(self) -> str:
        return self.gapless.settings.project

    def datasets(self) -> frozenset[str]:
        from gapless.gcp.admin import BigQueryAdmin  # Google's libraries take most of a second

        return BigQueryAdmin(self.gapless.settings).datasets(declared_datasets(self.gapless.pipeline))

    def tables(self) -> Mapping[str, Table]:
        return warehouse_tables(self.gapless.warehouse, self.gapless.pipeline, keeps_clustering=self.on_cloud)

    def topics(self) -> frozenset[str]:
        from gapless.gcp.admin import PubSubAdmin

        self._needs_pubsub()
        return PubSubAdmin(self.project).topics()

    def subscriptions(self) -> Mapping[str, Subscription]:
        from gapless.gcp.admin import PubSubAdmin

        self._needs_pubsub()
        return PubSubAdmin(self.project).subscriptions()

    def schedules(self) -> Mapping[str, Job]:
        from gapless.gcp.admin import CloudAdmin, SchedulerAdmin

        self._needs_cloud("there is no Cloud Scheduler")
        regions = self.region or CloudAdmin(self.project).regions()
        if not regions:
            raise CannotObserve("Cloud Scheduler: in which region is not known; name it with --region")
        return SchedulerAdmin(self.project, regions).schedules()

    def functions(self) -> Mapping[str, DeployedFunction]:
        from gapless.gcp.admin import CloudAdmin

        if self.addresses:
            return {name: DeployedFunction(name, url, anonymous=_status(url)) for name, url in self.addresses.items()}
        self._needs_cloud("nothing is deployed: name where functions run with --urls or --base-url")
        found = CloudAdmin(self.project).functions()
        return {
            name: state if state.internal else dataclasses.replace(state, anonymous=_status(state.url))
            for name, state in found.items()
        }

    def grants(self) -> Grants:
        from gapless.gcp.admin import CloudAdmin, PubSubAdmin

        self._needs_cloud("emulators know no permissions")
        names = sorted({d for f in self.catalogue.functions.values() for d in (*f.reads, *f.writes)})
        cloud = CloudAdmin(self.project)
        readers, writers = cloud.datasets(names)
        publishers = PubSubAdmin(self.project).publishers(declared_topics(self.catalogue))
        try:
            return Grants(publishers, readers, writers, cloud.roles())
        except CannotObserve as error:
            return Grants(publishers, readers, writers, NotChecked(str(error)))

    def channels(self) -> Mapping[str, str | NotChecked]:
        from gapless.gcp.admin import CloudAdmin

        found: dict[str, str | NotChecked] = {}
        webhook = self.gapless.settings.slack_webhook
        if self.on_cloud:
            cloud = CloudAdmin(self.project)
            found |= cloud.channels() or {"Cloud Monitoring": "there is no notification channel"}
            secrets = sorted({f.secrets[_WEBHOOK] for f in self.catalogue.functions.values() if _WEBHOOK in f.secrets})
            try:
                webhook = webhook or (cloud.secret(secrets[0]) if secrets else "")
            except CannotObserve as error:
                found["slack"] = NotChecked(str(error))
        if webhook:
            found["slack"] = _webhook_fault(webhook)
        if not found:
            raise NotThere(f"there is none: {_WEBHOOK} is not set")
        return found

    def behind(self, commit: str) -> int | None:
        if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
            return None  # whatever else stands there is not passed to a program
        try:
            counted = subprocess.run(
                ["git", "rev-list", "--count", f"{commit}..HEAD", "--", *DEPLOYED_PATHS],
                cwd=_ROOT, check=True, capture_output=True, text=True,
            )  # fmt: skip
        except OSError as error:
            raise NotThere("git is not installed here") from error
        except subprocess.CalledProcessError as error:
            if "not a git repository" in error.stderr:
                raise NotThere("this is no git checkout") from error
            return None
        return int(counted.stdout)

    def _needs_cloud(self, otherwise: str) -> None:
        if not self.on_cloud:
            raise NotThere(otherwise)

    def _needs_pubsub(self) -> None:
        if not (self.on_cloud or self.gapless.settings.publishes):
            raise NotThere("messages stay in the process here; set PUBSUB_EMULATOR_HOST where an emulator runs")


def _status(url: str) -> int:
    """What a GET without a token is answered with; 0 where nothing answers."""
    return _ask(urllib.request.Request(url))


def _webhook_fault(url: str) -> str:
    """What is wrong with a Slack webhook. It is sent an empty message, which a live one refuses with 400."""
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        return "its address does not begin with https://"
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
    status = _ask(request)
    if status == 0:
        return "it does not answer"
    return "" if status == 400 or status < 300 else f"it answers {status}"


def _ask(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (urllib.error.URLError, OSError, ValueError):
        return 0


def _show(console: Console, told: Sequence[Difference], missed: Mapping[str, NotChecked]) -> None:
    for finding in told:
        _show_finding(console, finding)
    clean = _clean(told, missed)
    if clean:
        console.print(Text.assemble(("ok", "green"), f"       {', '.join(clean)}"))
    for what, each in missed.items():
        console.print(Text(f"not checked: {what}: {each.why}", style="yellow" if each.failed else "bright_black"))
    faults = _faults(told)
    errors = [finding for finding in faults if finding.severity == "error"]
    if faults:
        console.print(f"{len(faults)} findings, {len(errors)} of them errors", highlight=False)


def _show_finding(console: Console, finding: Difference) -> None:
    severity = (f"{finding.severity:7}", _STYLES[finding.severity])
    what = Text.assemble(severity, f"  {finding.area}: {finding.what}")
    way = "do" if finding.severity == "note" else "fix"
    console.print(what, soft_wrap=True)
    console.print(Text(f"         {way}: {finding.fix}"), soft_wrap=True)


def _clean(told: Sequence[Difference], missed: Mapping[str, NotChecked]) -> list[str]:
    """The areas that were checked and are in order."""
    faulty = {finding.area for finding in _faults(told)}
    return [area for area in AREAS if area not in missed and area not in faulty]
