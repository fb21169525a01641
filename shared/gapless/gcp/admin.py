"""What is deployed, for `gapless doctor`: read, never changed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from requests.exceptions import ConnectionError as Unreachable
from requests.exceptions import Timeout

from gapless.declare.settings import Settings
from gapless.doctor.facts import COMMIT_VARIABLE, Capacity, DeployedFunction, Job, Subscription
from gapless.errors import CannotObserve, GaplessError
from gapless.gcp.bigquery import BigQueryWarehouse
from gapless.gcp.words import short

T = TypeVar("T")
ADMIN_SECONDS = 30.0  # for questions about what is deployed


@dataclass(frozen=True)
class BigQueryAdmin:
    """Which datasets there are, in the cloud or in an emulator."""

    settings: Settings

    def datasets(self, names: Sequence[str]) -> frozenset[str]:
        """Those of these datasets that are there."""

        def call() -> frozenset[str]:
            client = BigQueryWarehouse._connect(self.settings)
            found = set()
            for name in names:
                try:
                    client.get_dataset(name, **_patience())
                except api.NotFound:
                    continue
                found.add(name)
            return frozenset(found)

        return _asked("BigQuery", "bigquery.datasets.get", call)


@dataclass(frozen=True)
class PubSubAdmin:
    """What there is of Pub/Sub in a project; the client reads `PUBSUB_EMULATOR_HOST` itself."""

    project: str

    def topics(self) -> frozenset[str]:
        from google.cloud import pubsub_v1  # type: ignore[attr-defined]

        return _asked("Pub/Sub", "roles/pubsub.viewer", lambda: frozenset(
            _last(topic.name)
            for topic in pubsub_v1.PublisherClient().list_topics(project=f"projects/{self.project}", **_patience())
        ))  # fmt: skip

    def subscriptions(self) -> dict[str, Subscription]:
        from google.cloud import pubsub_v1  # type: ignore[attr-defined]

        return _asked("Pub/Sub", "roles/pubsub.viewer", lambda: {
            _last(each.name): _subscription(each)
            for each in pubsub_v1.SubscriberClient().list_subscriptions(
                project=f"projects/{self.project}", **_patience()
            )
        })  # fmt: skip

    def publishers(self, topics: Sequence[str]) -> dict[str, frozenset[str]]:
        """Who may publish to each topic that is there, as IAM members."""
        from google.cloud import pubsub_v1  # type: ignore[attr-defined]

        def call() -> dict[str, frozenset[str]]:
            client = pubsub_v1.PublisherClient()
            found = {}
            for topic in topics:
                resource = {"resource": f"projects/{self.project}/topics/{topic}"}
                try:
                    policy = client.get_iam_policy(request=resource, **_patience())
                except api.NotFound:
                    continue
                found[topic] = frozenset(
                    member
                    for binding in policy.bindings
                    if binding.role in ("roles/pubsub.publisher", "roles/pubsub.editor", "roles/pubsub.admin")
                    for member in binding.members
                )
            return found

        return _asked("Pub/Sub", "pubsub.topics.getIamPolicy", call)


@dataclass(frozen=True)
class SchedulerAdmin:
    """The jobs of Cloud Scheduler in some regions of a project."""

    project: str
    regions: Sequence[str]

    def schedules(self) -> dict[str, Job]:
        from google.cloud import scheduler_v1

        def call() -> dict[str, Job]:
            client = scheduler_v1.CloudSchedulerClient()
            return {
                _last(job.name): _job(job)
                for region in self.regions
                for job in client.list_jobs(parent=f"projects/{self.project}/locations/{region}", **_patience())
                if job.http_target.uri
            }

        return _asked("Cloud Scheduler", "roles/cloudscheduler.viewer", call)


@dataclass(frozen=True)
class CloudAdmin:
    """Functions, their callers, the grants on datasets and the alert channels of a project, over REST."""

    project: str

    def functions(self) -> dict[str, DeployedFunction]:
        """Every function of Gapless, by its service; those of others are left out."""
        listed = self._pages(
            f"https://cloudfunctions.googleapis.com/v2/projects/{self.project}/locations/-/functions", "functions"
        )
        ours = [each for each in listed if (each.get("labels") or {}).get("app") == "gapless"]
        return {_last(each["name"]): self._running(each) for each in ours}

    def regions(self) -> list[str]:
        """Where functions of Gapless run."""
        listed = self._pages(
            f"https://cloudfunctions.googleapis.com/v2/projects/{self.project}/locations/-/functions", "functions"
        )
        return sorted({each["name"].split("/")[3] for each in listed})

    def datasets(self, names: Sequence[str]) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
        """Who may read and who may write each dataset that is there, as IAM members."""
        readers, writers = {}, {}
        for name in names:
            url = f"https://bigquery.googleapis.com/bigquery/v2/projects/{self.project}/datasets/{name}"
            try:
                access = self._get(url).get("access", [])
            except _NotFound:
                continue
            writers[name] = frozenset(_member(entry) for entry in access if entry.get("role") in _WRITES)
            readers[name] = frozenset(_member(entry) for entry in access if entry.get("role") in _READS | _WRITES)
        return readers, writers

    def roles(self) -> dict[str, frozenset[str]]:
        """Who has which role on the whole project, as IAM members by role; conditions are not looked at."""
        url = f"https://cloudresourcemanager.googleapis.com/v3/projects/{self.project}:getIamPolicy"
        policy = self._request("POST", url, body={"options": {"requestedPolicyVersion": 3}})
        found: dict[str, set[str]] = {}
        for binding in policy.get("bindings", []):
            found.setdefault(binding.get("role", ""), set()).update(binding.get("members", ()))
        return {role: frozenset(members) for role, members in found.items()}

    def channels(self) -> dict[str, str]:
        """What is wrong with each notification channel of Cloud Monitoring; nothing where it is in order."""
        url = f"https://monitoring.googleapis.com/v3/projects/{self.project}/notificationChannels"
        found = {}
        for each in self._pages(url, "notificationChannels"):
            name = each.get("displayName") or _last(each["name"])
            wrong = "it is switched off" if each.get("enabled") is False else ""
            found[name] = "nobody has confirmed it" if each.get("verificationStatus") == "UNVERIFIED" else wrong
        return found

    def secret(self, name: str) -> str:
        """The newest value of a secret."""
        url = f"https://secretmanager.googleapis.com/v1/projects/{self.project}/secrets/{name}/versions/latest:access"
        return base64.b64decode(self._get(url)["payload"]["data"]).decode().strip()

    def _running(self, each: Mapping[str, Any]) -> DeployedFunction:
        config = each.get("serviceConfig") or {}
        environment = config.get("environmentVariables") or {}
        return DeployedFunction(
            function=(each.get("buildConfig") or {}).get("entryPoint", ""),
            url=config.get("uri") or each.get("url", ""),
            commit=environment.get(COMMIT_VARIABLE, ""),
            account=config.get("serviceAccountEmail", ""),
            invokers=self._invokers(config.get("service", "")),
            active=each.get("state") == "ACTIVE",
            timeout_seconds=int(config.get("timeoutSeconds") or 0),
            environment=environment,
            secrets=frozenset(secret["key"] for secret in config.get("secretEnvironmentVariables") or ()),
            internal=config.get("ingressSettings", "ALLOW_ALL") != "ALLOW_ALL",
            capacity=_capacity(config),
        )

    def _invokers(self, service: str) -> frozenset[str] | None:
        """Who may call a service; None where that may not be read."""
        try:
            policy = self._get(f"https://run.googleapis.com/v2/{service}:getIamPolicy")
        except CannotObserve:
            return None
        calls = [b for b in policy.get("bindings", []) if b.get("role") in ("roles/run.invoker", "roles/run.admin")]
        return frozenset(member for binding in calls for member in binding.get("members", ()))

    def _pages(self, url: str, field: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self._get(url, {"pageSize": "100"} | ({"pageToken": token} if token else {}))
            if page.get("unreachable"):
                raise CannotObserve(f"{_host(url)} could not reach {', '.join(page['unreachable'])}; try again")
            found += page.get(field, [])
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def _get(self, url: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self._request("GET", url, params=params)

    def _request(
        self, method: str, url: str, params: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        def call() -> dict[str, Any]:
            answer = self._session.request(method, url, params=params, json=body, timeout=ADMIN_SECONDS)
            if answer.status_code != 200:
                raise api.from_http_response(answer)  # type: ignore[no-untyped-call]
            return dict(answer.json())

        return _asked(_host(url), f"read access to {url.partition('?')[0].rpartition('/')[2]}", call)

    @cached_property
    def _session(self) -> Any:
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform.read-only"])
        return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


class _NotFound(CannotObserve):
    """What was asked for is not there."""


_READS = frozenset({"READER", "roles/bigquery.dataViewer"})
_WRITES = frozenset({"WRITER", "OWNER", "roles/bigquery.dataEditor", "roles/bigquery.dataOwner"})


def _capacity(config: Mapping[str, Any]) -> Capacity:
    """What a function's instances have; what is not said is Google's default."""
    memory = _quantity(config.get("availableMemory") or "256Mi")
    return Capacity(
        memory_mb=round(memory / 2**20) if memory is not None else None,
        cpu=_quantity(config.get("availableCpu") or ""),
        concurrency=int(config.get("maxInstanceRequestConcurrency") or 1),
        min_instances=int(config.get("minInstanceCount") or 0),
        max_instances=int(config["maxInstanceCount"]) if config.get("maxInstanceCount") else None,
    )


_UNITS = {"": 1, "m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def _quantity(text: str) -> float | None:
    """A number as Kubernetes writes it, such as 512Mi or 583m; None where there is none."""
    match = re.fullmatch(r"([0-9.]+)(|m|k|M|G|Ki|Mi|Gi)", text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def _subscription(seen: Any) -> Subscription:
    push, ttl = seen.push_config, seen.expiration_policy.ttl
    return Subscription(
        topic=_last(seen.topic),
        endpoint=push.push_endpoint,
        audience=push.oidc_token.audience,
        account=push.oidc_token.service_account_email,
        ack_seconds=seen.ack_deadline_seconds,
        dead_letter=_last(seen.dead_letter_policy.dead_letter_topic),
        # A policy without a time never expires; without a policy it is Pub/Sub's default of 31 days.
        expires_days=None if seen.expiration_policy and not ttl else (ttl or timedelta(days=31)) / timedelta(days=1),
        retry_seconds=_delays(seen.retry_policy) if "retry_policy" in seen else None,
        attempts=seen.dead_letter_policy.max_delivery_attempts,
    )


def _delays(policy: Any) -> tuple[float, float]:
    """The least and the most seconds between two deliveries; what is not said is Pub/Sub's default."""
    least, most = policy.minimum_backoff, policy.maximum_backoff
    return (10.0 if least is None else least.total_seconds(), 600.0 if most is None else most.total_seconds())


def _job(seen: Any) -> Job:
    target = seen.http_target
    try:
        body = json.loads(target.body or b"null")
    except ValueError:
        body = target.body.decode(errors="replace")
    return Job(
        cron=seen.schedule,
        zone=seen.time_zone,
        url=target.uri,
        method=target.http_method.name,
        body=body,
        audience=target.oidc_token.audience,
        account=target.oidc_token.service_account_email,
        paused=seen.state.name == "PAUSED",
        last_error=f"code {seen.status.code} {seen.status.message}".strip() if seen.status.code else "",
    )


def _member(entry: Mapping[str, Any]) -> str:
    """An entry of a dataset's access list as an IAM member."""
    if "iamMember" in entry:
        return str(entry["iamMember"])
    address = str(entry.get("userByEmail") or entry.get("groupByEmail") or entry.get("specialGroup") or "")
    if "groupByEmail" in entry:
        return f"group:{address}"
    return f"{'serviceAccount' if address.endswith('.gserviceaccount.com') else 'user'}:{address}"


def _asked(service: str, needed: str, call: Callable[[], T]) -> T:
    """Ask an API about what is deployed; what goes wrong is `CannotObserve` with what is needed."""
    try:
        return call()
    except GaplessError:
        raise
    except DefaultCredentialsError as error:
        raise CannotObserve(
            f"{service}: there are no Google Cloud credentials; run: gcloud auth application-default login"
        ) from error
    except (api.Forbidden, api.Unauthorized, RefreshError) as error:
        raise CannotObserve(f"{service}: no permission ({needed} is needed): {short(error)}") from error
    except api.NotFound as error:
        raise _NotFound(f"{service}: {short(error)}") from error
    except (api.GoogleAPICallError, api.RetryError, TransportError, Unreachable, Timeout) as error:
        raise CannotObserve(f"{service} did not answer: {short(error)}") from error


def _patience() -> dict[str, Any]:
    """How long one question may take, repetitions included."""
    again = Retry(predicate=if_exception_type(api.ServiceUnavailable), initial=0.2, maximum=2.0, timeout=ADMIN_SECONDS)
    return {"timeout": ADMIN_SECONDS, "retry": again}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _host(url: str) -> str:
    return url.split("/")[2]
