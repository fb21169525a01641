"""The whole comparison: what differs, and what nobody looked at."""

from __future__ import annotations

from gapless.doctor import functions, messaging, permissions, schedules, tables
from gapless.doctor.addresses import is_local
from gapless.doctor.declared import Declared
from gapless.doctor.facts import NotChecked, Observed, in_git, short
from gapless.doctor.finding import Difference


def findings(declared: Declared, observed: Observed) -> list[Difference]:
    """Every difference between what is declared and what was observed; areas that were not looked at give none."""
    running = {} if isinstance(observed.functions, NotChecked) else dict(observed.functions)
    found: list[Difference] = []
    if not isinstance(observed.tables, NotChecked):
        found += tables.check(declared, observed.tables, observed.datasets)
    if not isinstance(observed.topics, NotChecked):
        found += messaging.check_topics(declared, observed.topics)
    if not isinstance(observed.subscriptions, NotChecked):
        found += messaging.check_subscriptions(declared, observed.subscriptions, running)
    if not isinstance(observed.schedules, NotChecked):
        found += schedules.check(declared, observed.schedules, running)
    if not isinstance(observed.functions, NotChecked):
        found += functions.check(declared, running)
        found += functions.check_commits(running, {} if isinstance(observed.behind, NotChecked) else observed.behind)
        found += permissions.check_callers(declared, observed, running)
        if not isinstance(observed.grants, NotChecked):
            found += permissions.check_grants(declared, observed.grants, running)
            if not isinstance(observed.grants.project, NotChecked):
                found += permissions.check_project(declared, observed.grants.project, running)
    if not isinstance(observed.channels, NotChecked):
        found += [
            Difference(
                "channels",
                f"{name}: {wrong}",
                "error",
                "make it anew, and add its address to the secret (terraform/README.md); until then nobody is told",
            )
            for name, wrong in observed.channels.items()
            if isinstance(wrong, str) and wrong
        ]
    return found


def unchecked(observed: Observed) -> dict[str, NotChecked]:
    """What nobody looked at, by area, with the reason; a part of an area has the area's name and its own."""
    iam = observed.grants
    areas = {
        "tables": observed.tables,
        "topics": observed.topics,
        "subscriptions": observed.subscriptions,
        "schedules": observed.schedules,
        "functions": observed.functions,
        "commit": observed.behind,
        "iam": iam,
        "channels": observed.channels,
    }
    found = {name: seen for name, seen in areas.items() if isinstance(seen, NotChecked)}
    if not isinstance(observed.tables, NotChecked) and any(t.clustered_by is None for t in observed.tables.values()):
        found["tables: clustering"] = NotChecked("the emulator does not keep it", failed=False)
    if not isinstance(observed.tables, NotChecked) and isinstance(observed.datasets, NotChecked):
        found["tables: datasets"] = observed.datasets
    if not isinstance(iam, NotChecked) and isinstance(iam.project, NotChecked):
        found["iam: roles on the whole project"] = iam.project
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
        elif not isinstance(observed.behind, NotChecked) and observed.behind.get(in_git(state.commit), 0) is None:
            found[f"commit: {name}"] = NotChecked(
                f"{short(state.commit)} is not known here; run: git fetch", failed=False
            )
        if state.invokers is None and not is_local(state.url):
            found[f"iam: invokers of {name}"] = NotChecked("who may call it cannot be read (run.services.getIamPolicy)")
    return found
