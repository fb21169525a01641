"""Schedules: whether each calls its function, at its hour, with its body, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gapless.declare.catalogue import Schedule
from gapless.doctor.addresses import canonical, is_local, is_named_for, owners, place_of
from gapless.doctor.declared import Declared
from gapless.doctor.facts import DeployedFunction, Job
from gapless.doctor.finding import APPLY, Difference


def check(declared: Declared, seen: Mapping[str, Job], running: Mapping[str, DeployedFunction]) -> Iterator[Difference]:
    """Every schedule that is missing, doubled, wrong or not declared."""
    owner = owners(running)
    for function in declared.catalogue.functions.values():
        place = place_of(function.name, running)
        if not place:
            continue
        own = {name: job for name, job in seen.items() if owner.get(canonical(job.url)) == function.name}
        used: set[str] = set()
        for key, schedule in function.schedules.items():
            what = f"the schedule {key} of {function.name}"
            same = sorted(name for name, job in own.items() if job.body == schedule.body and name not in used)
            if not same and len(own) == len(function.schedules) == 1:
                same = list(own)
            used.update(same)
            if len(same) > 1:
                yield Difference(
                    "schedules",
                    f"{' and '.join(same)} are both {what}: it is called twice",
                    "error",
                    f"gcloud scheduler jobs delete {same[1]} --project={declared.project}",
                )
            for name in same:
                yield from _schedule(declared, name, own[name], schedule, place)
            if not same:
                astray = [name for name in seen if name not in own and is_named_for(name, function.name)]
                where = f"; {astray[0]} calls {seen[astray[0]].url} instead of {place.url}" if astray else ""
                yield Difference("schedules", f"{what} does not exist{where}", "error", APPLY)
        for name in sorted(set(own) - used):
            yield Difference(
                "schedules",
                f"{name} calls {function.name} with {own[name].body}, which is not declared",
                "warning",
                f"gcloud scheduler jobs delete {name} --project={declared.project}",
            )


def _schedule(
    declared: Declared, name: str, seen: Job, wanted: Schedule, place: DeployedFunction
) -> Iterator[Difference]:
    change = f"{APPLY}   (or: gcloud scheduler jobs update http {name} --project={declared.project}"
    if seen.cron != wanted.cron:
        yield Difference(
            "schedules",
            f"{name} runs at '{seen.cron}', declared is '{wanted.cron}'",
            "error",
            f"{change} --schedule='{wanted.cron}')",
        )
    if seen.zone != wanted.zone:
        yield Difference(
            "schedules",
            f"{name} runs in {seen.zone}, declared is {wanted.zone}",
            "error",
            f"{change} --time-zone={wanted.zone})",
        )
    if seen.body != wanted.body or seen.method != "POST":
        yield Difference(
            "schedules", f"{name} sends {seen.method} {seen.body}, declared is POST {wanted.body}", "error", APPLY
        )
    if not is_local(place.url) and canonical(seen.audience) != canonical(place.url):
        yield Difference(
            "schedules",
            f"{name} has tokens for {seen.audience or 'nobody'}, not for {place.url}",
            "error",
            f"{change} --oidc-token-audience={place.url})",
        )
    if seen.paused:
        yield Difference(
            "schedules",
            f"{name} is paused: gaps are not looked for",
            "warning",
            f"gcloud scheduler jobs resume {name} --project={declared.project}",
        )
    if seen.last_error:
        yield Difference(
            "schedules",
            f"the last call of {name} failed: {seen.last_error}",
            "warning",
            f"python -m gapless.deploy.probe --only {place.function} …, then: "
            f"gcloud scheduler jobs run {name} --project={declared.project}",
        )
