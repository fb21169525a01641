"""Functions: whether each is deployed, once, as declared, from this commit, and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gapless.declare.catalogue import Function
from gapless.doctor.addresses import is_local
from gapless.doctor.declared import Declared
from gapless.doctor.facts import COMMIT_VARIABLE, Capacity, DeployedFunction, in_git, short
from gapless.doctor.finding import APPLY, Difference

_NEARLY = 0.92  # 512M and 512Mi, or 1G and 1Gi, are one size in two spellings


def check(declared: Declared, running: Mapping[str, DeployedFunction]) -> Iterator[Difference]:
    """Every function that is missing, doubled, not declared, set up otherwise, or does not answer."""
    functions = declared.catalogue.functions
    for name in functions:
        own = sorted(service for service, state in running.items() if state.function == name)
        if not own:
            yield Difference("functions", f"{name} is declared and not deployed", "error", APPLY)
        if len(own) > 1:
            yield Difference(
                "functions",
                f"{name} is deployed {len(own)} times, as {', '.join(own)}",
                "error",
                f"gcloud functions delete {own[1]} --project={declared.project}",
            )
    for service, state in running.items():
        wanted = functions.get(state.function)
        if wanted is None:
            yield Difference(
                "functions",
                f"{service} is deployed and not declared",
                "warning",
                f"gcloud functions delete {service} --project={declared.project}",
            )
            continue
        if not state.active:
            yield Difference("functions", f"{service} is not active: its last deployment failed", "error", APPLY)
        if state.timeout_seconds and state.timeout_seconds != wanted.timeout_seconds:
            yield Difference(
                "functions",
                f"{service} may take {state.timeout_seconds} s, declared is {wanted.timeout_seconds} s",
                "error",
                APPLY,
            )
        if state.timeout_seconds:  # its configuration is known
            lost = sorted(key for key, value in wanted.environment.items() if state.environment.get(key) != value)
            if lost:
                yield Difference(
                    "functions", f"{service} lacks declared environment: {', '.join(lost)}", "error", APPLY
                )
            empty = sorted(set(wanted.secrets) - state.secrets)
            if empty:
                yield Difference(
                    "functions",
                    f"{service} does not get its secret {', '.join(empty)}",
                    "warning",
                    "add a version, name it in filled_secrets (terraform/README.md), then: " + APPLY,
                )
        if state.capacity:
            yield from _capacity(service, state.capacity, wanted)
        yield from _answers(service, state)


def _capacity(service: str, has: Capacity, wanted: Function) -> Iterator[Difference]:
    """What its instances have, and how many of them there may be."""
    memory = wanted.memory_mb if has.memory_mb is None else has.memory_mb
    told = f"{service} has {memory} MB of memory, declared are {wanted.memory_mb} MB"
    if memory < _NEARLY * wanted.memory_mb:
        yield Difference("functions", f"{told}: a large batch is killed", "error", APPLY)
    elif wanted.memory_mb < _NEARLY * memory:
        yield Difference("functions", told, "warning", APPLY)
    for what, live, declared in (
        ("CPUs", wanted.cpu if has.cpu is None else has.cpu, wanted.cpu),
        ("calls at a time in one instance", has.concurrency, wanted.concurrency),
        ("instances at the least", has.min_instances, wanted.min_instances),
        ("instances at the most", has.max_instances, wanted.max_instances),
    ):
        if live != declared:
            there = "no limit" if live is None else f"{live:g}"
            yield Difference("functions", f"{service}: {what}: {there}, declared is {declared}", "warning", APPLY)


def _answers(service: str, state: DeployedFunction) -> Iterator[Difference]:
    """What a GET without a token says: our functions answer 405, and private ones are not reached at all."""
    status = state.anonymous
    if status is None:
        return
    if status == 0:
        yield Difference(
            "functions",
            f"{service} does not answer at {state.url}",
            "error",
            f"look at its log; then: python -m gapless.deploy.probe --only {state.function} …",
        )
    elif status == 404 or status >= 500:
        yield Difference(
            "functions",
            f"{service} answers {status} at {state.url}",
            "error",
            f"look at its log; then: python -m gapless.deploy.probe --only {state.function} …",
        )
    elif not is_local(state.url) and status not in (401, 403):
        yield Difference("iam", f"{service} answers without a token ({status}): anybody may call it", "error", APPLY)


def check_commits(running: Mapping[str, DeployedFunction], behind: Mapping[str, int | None]) -> Iterator[Difference]:
    """Every function that runs other code than this checkout's, or than its neighbours."""
    known = {service: state.commit for service, state in running.items() if state.commit is not None}
    redeploy = f"python -m gapless.deploy.bundle && {APPLY}"
    for service, commit in known.items():
        if not commit or commit == "unknown":
            yield Difference("commit", f"{service} does not tell its commit ({COMMIT_VARIABLE})", "warning", redeploy)
            continue
        if commit.endswith("-dirty"):
            yield Difference(
                "commit",
                f"{service} was deployed from {short(commit)} with changes that are in no commit",
                "warning",
                f"git commit, then: {redeploy}",
            )
        count = behind.get(in_git(commit))
        if count:
            yield Difference(
                "commit", f"{service} runs {short(commit)}, {count} commits behind this checkout", "warning", redeploy
            )
    if len(set(known.values())) > 1:
        told = ", ".join(f"{service} {short(commit) or '-'}" for service, commit in sorted(known.items()))
        yield Difference("commit", f"functions run different commits: {told}", "warning", redeploy)
