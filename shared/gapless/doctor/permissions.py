"""Permissions: whether callers may call, strangers may not, and accounts may do what the catalogue says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gapless.doctor.addresses import canonical, is_local, owners
from gapless.doctor.declared import PROJECT_ROLE, Declared
from gapless.doctor.facts import DeployedFunction, Grants, NotChecked, Observed
from gapless.doctor.finding import APPLY, Difference

_RUNS_JOBS = frozenset(
    {
        PROJECT_ROLE,
        "roles/bigquery.user",
        "roles/bigquery.admin",
        "roles/viewer",
        "roles/editor",
        "roles/owner",
    }
)
_PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})


def check_callers(
    declared: Declared, observed: Observed, running: Mapping[str, DeployedFunction]
) -> Iterator[Difference]:
    """Whether those that deliver to a function may call it, and strangers may not."""
    owner = owners(running)
    callers: dict[str, dict[str, str]] = {}
    deliveries: list[tuple[str, str, str]] = []
    if not isinstance(observed.subscriptions, NotChecked):
        deliveries += [(name, s.endpoint, s.account) for name, s in observed.subscriptions.items() if s.endpoint]
    if not isinstance(observed.schedules, NotChecked):
        deliveries += [(name, job.url, job.account) for name, job in observed.schedules.items()]
    for name, url, account in deliveries:
        to = owner.get(canonical(url))
        if to:
            callers.setdefault(to, {})[name] = account
    for service, state in running.items():
        if state.invokers is None:
            continue
        public = sorted(state.invokers & _PUBLIC)
        if public:
            yield Difference(
                "iam",
                f"anybody may call {service} ({', '.join(public)})",
                "error",
                f"gcloud functions remove-invoker-policy-binding {service} --member={public[0]} "
                f"--project={declared.project}",
            )
        if public or is_local(state.url):
            continue
        for name, account in callers.get(state.function, {}).items():
            if not account:
                yield Difference("iam", f"{name} calls {service} without a service account", "error", APPLY)
            elif f"serviceAccount:{account}" not in state.invokers:
                yield Difference(
                    "iam",
                    f"{name} calls {service} as {account}, which may not",
                    "error",
                    f"gcloud functions add-invoker-policy-binding {service} --member=serviceAccount:{account} "
                    f"--project={declared.project}",
                )


def check_grants(declared: Declared, grants: Grants, running: Mapping[str, DeployedFunction]) -> Iterator[Difference]:
    """Whether each function's account has on topics and datasets what the catalogue says it needs."""
    for service, state in running.items():
        wanted = declared.catalogue.functions.get(state.function)
        if wanted is None or not state.account:
            continue
        member = f"serviceAccount:{state.account}"
        needs: list[tuple[str, Sequence[str], Mapping[str, frozenset[str]]]] = [
            ("publish to the topic", wanted.publishes, grants.publishers),
            ("read the dataset", wanted.reads, grants.readers),
            ("write the dataset", wanted.writes, grants.writers),
        ]
        for verb, names, holders in needs:
            lacking = [name for name in names if name in holders and member not in holders[name]]
            if lacking:
                who = f"{service} ({state.account})"
                yield Difference("iam", f"{who} may not {verb} {', '.join(lacking)}", "error", APPLY)


def check_project(
    declared: Declared, roles: Mapping[str, frozenset[str]], running: Mapping[str, DeployedFunction]
) -> Iterator[Difference]:
    """Whether each function's account has on the project as a whole what is declared, and nothing more."""
    services: dict[str, list[str]] = {}
    for service, state in sorted(running.items()):
        if state.account and state.function in declared.catalogue.functions:
            services.setdefault(state.account, []).append(service)
    for account, names in services.items():
        member = f"serviceAccount:{account}"
        has = sorted(role for role, members in roles.items() if member in members)
        if not _RUNS_JOBS & set(has):
            yield Difference(
                "iam",
                f"{', '.join(names)} ({account}) may not run statements: declared is {PROJECT_ROLE} on the "
                f"project, the account has {', '.join(has) or 'no role there'}",
                "error",
                APPLY,
            )
        for role in has:
            if role != PROJECT_ROLE:
                yield Difference(
                    "iam",
                    f"{account}, as which {', '.join(names)} runs, has {role} on the whole project; declared "
                    f"is {PROJECT_ROLE} there, and the rest beside each resource",
                    "warning",
                    f"{APPLY}, then: gcloud projects remove-iam-policy-binding {declared.project} --member={member} "
                    f"--role={role} --all",
                )
