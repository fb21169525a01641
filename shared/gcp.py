"""BigQuery and Pub/Sub through Google's own clients: the only module that imports `google`.

The same code speaks to the cloud and to an emulator; the client library reads `BIGQUERY_EMULATOR_HOST` itself.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, BinaryIO, TypeVar

import requests
from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from requests.exceptions import ConnectionError as Unreachable
from requests.exceptions import Timeout

from shared.doctor.facts import COMMIT_VARIABLE, Capacity, Job, Running, Subscription
from shared.errors import BadInput, CannotObserve, ClaimLost, GaplessError, StillRunning, TransientFailure
from shared.pipeline import Processor
from shared.ports import Answer, Bus, Param
from shared.settings import Settings

T = TypeVar("T")
# BigQuery's client does not retry lost DML races; the statements here can all be repeated.
_LOST_RACE = ("could not serialize access", "concurrent update", "too many dml statements")
_TRIES = 5
ADMIN_SECONDS = 30.0  # for questions about what is deployed
NO_JOB_RETRY: Any = None  # documented to switch it off, though the annotation does not say so


class BigQueryWarehouse:
    """The `Warehouse` port on BigQuery's API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._retry: Retry = DEFAULT_RETRY.with_timeout(20.0 if settings.emulator else 120.0)
        self._client = _explained(lambda: self._connect(settings), "connecting", settings)

    @staticmethod
    def _connect(settings: Settings) -> bigquery.Client:
        if settings.emulator:
            return bigquery.Client(
                project=settings.project,
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
                client_options={"api_endpoint": settings.emulator},
                location=settings.location,
            )
        return bigquery.Client(project=settings.project, location=settings.location)

    def rows(self, sql: str, params: Mapping[str, Param] | None = None, *, purpose: str) -> Answer:
        def call() -> Answer:
            job = self._run(sql, params, purpose)
            return Answer([row.values() for row in job.result(retry=self._retry)], job.total_bytes_processed or 0)

        return _explained(call, purpose, self._settings)

    def execute(
        self,
        sql: str,
        params: Mapping[str, Param] | None = None,
        *,
        purpose: str,
        job_id: str | None = None,
        patience: float | None = None,
    ) -> int:
        if job_id:
            return _explained(lambda: self._once(sql, params, purpose, job_id, patience), purpose, self._settings)

        def call() -> int:
            job = self._run(sql, params, purpose)
            job.result(retry=self._retry)
            return job.num_dml_affected_rows or 0

        return _explained(lambda: _repeated(call), purpose, self._settings)

    def _run(self, sql: str, params: Mapping[str, Param] | None, purpose: str) -> bigquery.QueryJob:
        # Not `query_and_wait`: the emulator answers a failed statement there with an empty result and no error. A job
        # of its own fails as it does on BigQuery.
        return self._client.query(
            sql, job_config=self._config(params, purpose), retry=self._retry, job_retry=NO_JOB_RETRY
        )

    def job_state(self, job_id: str) -> str:
        def call() -> str:
            try:
                job: Any = self._client.get_job(job_id, retry=self._retry)
            except api.NotFound:
                return "missing"
            if job.state != "DONE":
                return "running"
            return str(job.error_result.get("message", "failed")) if job.error_result else "done"

        return _explained(call, "job", self._settings)

    def _once(
        self, sql: str, params: Mapping[str, Param] | None, purpose: str, job_id: str, patience: float | None
    ) -> int:
        """Run under a job id that is accepted once. A 409 may answer our own repeated request: the label tells."""
        owner = uuid.uuid4().hex
        config = self._config(params, purpose, owner)
        if patience:
            config.job_timeout_ms = self._settings.long_seconds * 1000
        try:
            job: Any = self._client.query(sql, job_config=config, job_id=job_id, retry=self._retry, job_retry=None)
        except api.Conflict as conflict:
            try:
                job = self._client.get_job(job_id, retry=self._retry)
            except (api.Forbidden, api.NotFound) as error:
                # Somebody else's job is not ours to see; 404 can follow a 409 while the job is being created.
                raise ClaimLost(f"job {job_id} belongs to another run", settled=False) from error
            if (job.labels or {}).get("owner") != owner:
                try:
                    job.result(retry=self._retry)
                except api.GoogleAPICallError:
                    pass  # its number stays unused; the caller reads the table and takes the next one
                raise ClaimLost(f"job {job_id} belongs to another run") from conflict
        try:
            job.result(retry=self._retry, timeout=patience)
        except FutureTimeout as error:
            raise StillRunning(f"job {job_id} goes on after {patience:g} s; a later call picks it up") from error
        return int(job.num_dml_affected_rows or 0)

    def price(self, sql: str, params: Mapping[str, Param] | None = None) -> int:
        config = self._config(params, "price")
        config.dry_run = True
        config.use_query_cache = False
        return _explained(
            lambda: int(self._client.query(sql, job_config=config, retry=self._retry).total_bytes_processed or 0),
            "price",
            self._settings,
        )

    def upload(self, table: str, parquet: BinaryIO) -> int:
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            labels={"gapless": "upload"},
        )

        def call() -> int:
            # Resumable (no size=): the emulator does not take multipart uploads.
            job = self._client.load_table_from_file(parquet, f"{self._settings.project}.{table}", job_config=config)
            job.result(retry=self._retry)
            return int(job.output_rows or 0)

        return _explained(call, "upload", self._settings)

    def drop(self, table: str) -> None:
        _explained(
            lambda: self._client.delete_table(f"{self._settings.project}.{table}", not_found_ok=True),
            "drop",
            self._settings,
        )

    def tables(self, dataset: str) -> Mapping[str, Sequence[str]]:
        def call() -> Mapping[str, Sequence[str]]:
            try:
                self._client.get_dataset(dataset)
            except api.NotFound:
                return {}
            answer = self.rows(
                f"SELECT table_name, column_name FROM `{dataset}`.INFORMATION_SCHEMA.COLUMNS "
                "ORDER BY table_name, ordinal_position",
                purpose="catalogue",
            )
            found: dict[str, list[str]] = {}
            for name, column in answer.rows:
                found.setdefault(name, []).append(column)
            return found

        return _explained(call, "catalogue", self._settings)

    def create_dataset(self, dataset: str) -> None:
        def call() -> None:
            made = bigquery.Dataset(f"{self._settings.project}.{dataset}")
            made.location = self._settings.location
            self._client.create_dataset(made, exists_ok=True, retry=self._retry)

        _explained(call, "create", self._settings)

    def _config(
        self, params: Mapping[str, Param] | None, purpose: str, owner: str | None = None
    ) -> bigquery.QueryJobConfig:
        labels = {"gapless": purpose} | ({"owner": owner} if owner else {})
        return bigquery.QueryJobConfig(
            query_parameters=[parameter(name, value) for name, value in (params or {}).items()],
            labels=labels,
            maximum_bytes_billed=int(self._settings.max_gib_billed * 2**30),
            job_timeout_ms=self._settings.timeout_seconds * 1000,
        )


class PubSubBus:
    """The `Bus` port on Pub/Sub; the client reads `PUBSUB_EMULATOR_HOST` itself, when it is made."""

    def __init__(self, project: str, seconds: float = 30.0) -> None:
        self._project = project
        self._seconds = seconds
        self._client: Any = None

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # most calls of a function publish nothing

        self._client = self._client or pubsub_v1.PublisherClient()
        path = f"projects/{self._project}/topics/{topic}"
        data = json.dumps(message, ensure_ascii=False).encode()
        try:
            return str(self._client.publish(path, data, timeout=self._seconds).result(timeout=self._seconds))
        except api.NotFound as error:
            raise CannotObserve(f"publish: there is no topic {path}; create it with: terraform apply") from error
        except (api.Forbidden, api.Unauthorized, DefaultCredentialsError) as error:
            raise CannotObserve(
                f"publish: no permission for {path}: {_short(error)}; roles/pubsub.publisher is needed"
            ) from error
        except (api.GoogleAPICallError, api.RetryError, TransportError, TimeoutError) as error:
            raise TransientFailure(f"publish: {path} did not take the message: {_short(error)}; try again") from error


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

    def functions(self) -> dict[str, Running]:
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

    def _running(self, each: Mapping[str, Any]) -> Running:
        config = each.get("serviceConfig") or {}
        environment = config.get("environmentVariables") or {}
        return Running(
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
        raise CannotObserve(f"{service}: no permission ({needed} is needed): {_short(error)}") from error
    except api.NotFound as error:
        raise _NotFound(f"{service}: {_short(error)}") from error
    except (api.GoogleAPICallError, api.RetryError, TransportError, Unreachable, Timeout) as error:
        raise CannotObserve(f"{service} did not answer: {_short(error)}") from error


def _patience() -> dict[str, Any]:
    """How long one question may take, repetitions included."""
    again = Retry(predicate=if_exception_type(api.ServiceUnavailable), initial=0.2, maximum=2.0, timeout=ADMIN_SECONDS)
    return {"timeout": ADMIN_SECONDS, "retry": again}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _host(url: str) -> str:
    return url.split("/")[2]


class OutsideRuns:
    """The `Dispatcher` port: a POST with an identity token, or a message on the processor's own topic."""

    def __init__(self, bus: Bus, tries: int = 3, seconds: float = 30.0) -> None:
        self._bus = bus
        self._tries = tries
        self._seconds = seconds

    def start(self, processor: Processor, days: Sequence[date], run_id: str) -> str:
        told = {
            "processor_name": processor.name,
            "start_date": min(days).isoformat(),
            "end_date": max(days).isoformat(),
            "game_dates": [day.isoformat() for day in days],
            "correlation_id": run_id,
            "trigger_source": "gapless",
        }
        if processor.run == "pubsub":
            return f"message {self._bus.publish(str(processor.run_topic), told)}"
        return self._post(str(processor.endpoint), told)

    def _post(self, endpoint: str, told: Mapping[str, Any]) -> str:
        where = f"POST {endpoint}"
        for attempt in range(1, self._tries + 1):
            try:
                headers = {"Authorization": f"Bearer {token}"} if (token := _identity_token(endpoint)) else {}
                response = requests.post(
                    endpoint, json=told, headers=headers, timeout=self._seconds, allow_redirects=False
                )
            except requests.RequestException as error:
                problem: GaplessError = TransientFailure(f"{where}: no answer ({type(error).__name__}); try again")
            else:
                if response.status_code in range(200, 300):
                    return f"HTTP {response.status_code}"
                if response.status_code not in (408, 425, 429) and response.status_code < 500:
                    raise CannotObserve(f"{where} answered {response.status_code}; asking again will not help")
                problem = TransientFailure(f"{where} answered {response.status_code} {attempt} times; try again")
            if attempt < self._tries:
                time.sleep(0.2 * 2**attempt)
        raise problem


def _identity_token(endpoint: str) -> str:
    """A token for a private service; none for one on this machine."""
    if endpoint.startswith("http://"):
        return ""
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    audience = "/".join(endpoint.split("/")[:3])
    try:
        return str(id_token.fetch_id_token(Request(), audience))  # type: ignore[no-untyped-call]
    except (DefaultCredentialsError, TransportError) as error:
        raise CannotObserve(f"POST {endpoint}: there is no identity to call it with: {_short(error)}") from error


def parameter(name: str, value: Param) -> Any:
    """A Python value as a query parameter; see `shared.ports` for the types."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and isinstance(value[0], Mapping):
            rows: list[Mapping[str, Any]] = list(value)  # type: ignore[arg-type]
            types = {key: _type(next((row[key] for row in rows if row[key] is not None), "")) for key in rows[0]}
            return bigquery.ArrayQueryParameter(
                name,
                "STRUCT",
                [
                    bigquery.StructQueryParameter(
                        None, *(bigquery.ScalarQueryParameter(key, types[key], row[key]) for key in types)
                    )
                    for row in rows
                ],
            )
        return bigquery.ArrayQueryParameter(name, _type(value[0]) if value else "DATE", list(value))
    return bigquery.ScalarQueryParameter(name, _type(value), value)


def _type(value: Any) -> str:
    # bool before int and datetime before date: each is a subclass of the other
    for kind, name in (
        (bool, "BOOL"),
        (int, "INT64"),
        (float, "FLOAT64"),
        (datetime, "TIMESTAMP"),
        (date, "DATE"),
        (str, "STRING"),
    ):
        if isinstance(value, kind):
            return name
    raise BadInput(f"a query parameter cannot be a {type(value).__name__}")


def _repeated(call: Callable[[], T]) -> T:
    for attempt in range(1, _TRIES + 1):
        try:
            return call()
        except api.GoogleAPICallError as error:
            if attempt == _TRIES or not any(text in str(error).lower() for text in _LOST_RACE):
                raise
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def _explained(call: Callable[[], T], purpose: str, settings: Settings) -> T:
    """Run a call; what goes wrong becomes an error that says where and what to try."""
    where = settings.emulator or f"project {settings.project}"
    try:
        return call()
    except GaplessError:
        raise
    except DefaultCredentialsError as error:
        raise CannotObserve(
            f"there are no Google Cloud credentials for {where}; run: gcloud auth application-default login"
        ) from error
    except (api.Forbidden, api.Unauthorized) as error:
        raise CannotObserve(
            f"{purpose}: no permission in {where}: {_short(error)}; "
            "roles/bigquery.jobUser and roles/bigquery.dataEditor are needed"
        ) from error
    except api.NotFound as error:
        raise CannotObserve(
            f"{purpose}: {_short(error)} (in {where}); if the tables were never created, run: gapless init"
        ) from error
    except (Unreachable, Timeout, TransportError, api.RetryError, api.ServerError, api.TooManyRequests) as error:
        raise TransientFailure(f"{purpose}: BigQuery at {where} did not answer: {_short(error)}; try again") from error
    except (api.GoogleAPICallError, ValueError) as error:
        raise CannotObserve(f"{purpose}: BigQuery refused the statement in {where}: {_short(error)}") from error


def _short(error: Exception) -> str:
    text = str(getattr(error, "message", "") or error)
    return text.split("; reason:")[0].split("\n\n")[0].strip()[:400]


class PubSubSetup:
    """Topics and subscriptions for an emulator, with the settings that Terraform gives them in the cloud."""

    def __init__(self, project: str, seconds: float = 10.0) -> None:
        from google.cloud import pubsub_v1  # type: ignore[attr-defined]

        self._project = project
        self._seconds = seconds
        self._publisher: Any = pubsub_v1.PublisherClient()
        self._subscriber: Any = pubsub_v1.SubscriberClient()

    def topic(self, name: str) -> None:
        """Create a topic that is not there."""
        self._once(lambda: self._publisher.create_topic(name=self._path("topics", name), timeout=self._seconds))

    def push(self, name: str, topic: str, endpoint: str, dead_letters: str) -> None:
        """Let a topic's messages be pushed to an address: again after 10 to 600 s, set aside after 20 deliveries."""
        wanted = {
            "name": self._path("subscriptions", name),
            "topic": self._path("topics", topic),
            "push_config": {"push_endpoint": endpoint},
            "ack_deadline_seconds": 600,
            "retry_policy": {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 600}},
            "dead_letter_policy": {
                "dead_letter_topic": self._path("topics", dead_letters),
                "max_delivery_attempts": 20,
            },
        }
        if not self._once(lambda: self._subscriber.create_subscription(request=wanted, timeout=self._seconds)):
            change = {"subscription": wanted["name"], "push_config": wanted["push_config"]}
            self._subscriber.modify_push_config(request=change, timeout=self._seconds)

    def pull(self, name: str, topic: str) -> None:
        """Keep a topic's messages for whoever asks for them."""
        wanted = {
            "name": self._path("subscriptions", name),
            "topic": self._path("topics", topic),
            "ack_deadline_seconds": 60,
        }
        self._once(lambda: self._subscriber.create_subscription(request=wanted, timeout=self._seconds))

    def _path(self, kind: str, name: str) -> str:
        return f"projects/{self._project}/{kind}/{name}"

    @staticmethod
    def _once(create: Callable[[], object]) -> bool:
        """Whether it was created; False where it is there already."""
        try:
            create()
        except api.AlreadyExists:
            return False
        except api.GoogleAPICallError as error:
            raise TransientFailure(f"Pub/Sub did not answer: {_short(error)}; try again") from error
        return True
