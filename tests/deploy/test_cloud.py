"""What is read from Google's answers, in the shapes of its APIs: functions, callers, grants, channels, schedules."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from json import dumps
from typing import Any

import pytest
import requests
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import scheduler_v1

from gapless.doctor.facts import Capacity, DeployedFunction, Job
from gapless.errors import CannotObserve
from gapless.gcp.admin import CloudAdmin, SchedulerAdmin, _job, _quantity

FUNCTIONS = "cloudfunctions.googleapis.com/v2/projects/p/locations/-/functions"
SERVICE = "projects/p/locations/us-central1/services/gapless-run-processor"


def function(name: str, **changes: Any) -> dict[str, Any]:
    service = f"gapless-{name.replace('_', '-')}"
    return {
        "name": f"projects/p/locations/us-central1/functions/{service}",
        "state": "ACTIVE",
        "labels": {"app": "gapless", "function": name},
        "buildConfig": {"entryPoint": name},
        "serviceConfig": {
            "service": f"projects/p/locations/us-central1/services/{service}",
            "uri": f"https://{service}-x1y2-uc.a.run.app",
            "timeoutSeconds": 540,
            "availableMemory": "1Gi",
            "availableCpu": "1",
            "maxInstanceCount": 10,
            "minInstanceCount": 1,
            "maxInstanceRequestConcurrency": 1,
            "serviceAccountEmail": f"{service}@p.iam.gserviceaccount.com",
            "environmentVariables": {"GAPLESS_COMMIT": "abc"},
            "secretEnvironmentVariables": [{"key": "GAPLESS_SLACK_WEBHOOK", "secret": "s", "version": "latest"}],
            "ingressSettings": "ALLOW_ALL",
        },
    } | changes


class Answers:
    """An authorised session that answers with documents instead of asking; a page's token is its number."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self.documents = documents

    def request(
        self, method: str, url: str, params: Mapping[str, str] | None = None, json: Any = None, timeout: float = 0
    ) -> requests.Response:
        assert timeout > 0
        assert (method == "POST") == (json is not None)
        document = self.documents.get(url.removeprefix("https://"), 404)
        if isinstance(document, list):
            document = document[int((params or {}).get("pageToken") or 0)]
        answer = requests.Response()
        answer.request = requests.Request(method, url).prepare()
        answer.status_code = document if isinstance(document, int) else 200
        answer._content = dumps({} if isinstance(document, int) else document).encode()
        answer.headers["Content-Type"] = "application/json"
        return answer


def admin(documents: Mapping[str, Any]) -> CloudAdmin:
    found = CloudAdmin("p")
    found.__dict__["_session"] = Answers(documents)
    return found


def test_functions_are_read_from_all_pages_with_their_callers_and_others_are_left_out() -> None:
    documents = {
        FUNCTIONS: [
            {"functions": [function("run_processor")], "nextPageToken": "1"},
            {"functions": [function("gap_detector", state="FAILED"), function("x", labels={"app": "theirs"})]},
        ],
        f"run.googleapis.com/v2/{SERVICE}:getIamPolicy": {
            "bindings": [{"role": "roles/run.invoker", "members": ["serviceAccount:push@p"]},
                         {"role": "roles/run.viewer", "members": ["user:a@b.c"]}],
        },
        f"run.googleapis.com/v2/{SERVICE.replace('run-processor', 'gap-detector')}:getIamPolicy": 403,
    }  # fmt: skip
    seen = admin(documents).functions()
    assert list(seen) == ["gapless-run-processor", "gapless-gap-detector"]
    assert seen["gapless-run-processor"] == DeployedFunction(
        function="run_processor",
        url="https://gapless-run-processor-x1y2-uc.a.run.app",
        commit="abc",
        account="gapless-run-processor@p.iam.gserviceaccount.com",
        invokers=frozenset({"serviceAccount:push@p"}),
        timeout_seconds=540,
        environment={"GAPLESS_COMMIT": "abc"},
        secrets=frozenset({"GAPLESS_SLACK_WEBHOOK"}),
        capacity=Capacity(1024, 1.0, 1, 1, 10),
    )
    assert seen["gapless-gap-detector"].active is False
    assert seen["gapless-gap-detector"].invokers is None, "not readable is not nobody"
    assert admin(documents).regions() == ["us-central1"]


def test_a_function_without_callers_is_not_one_whose_callers_cannot_be_read() -> None:
    documents = {
        FUNCTIONS: {"functions": [function("run_processor", serviceConfig={"service": SERVICE})]},
        f"run.googleapis.com/v2/{SERVICE}:getIamPolicy": {"etag": "x"},
    }
    seen = admin(documents).functions()["gapless-run-processor"]
    assert (seen.invokers, seen.commit) == (frozenset(), "")
    assert seen.capacity == Capacity(256, None, 1, 0, None), "Google's defaults, and a processor that it does not name"


@pytest.mark.parametrize(("text", "number"), [
    ("512Mi", 512 * 2**20), ("512M", 512e6), ("2Gi", 2 * 2**30), ("268435456", 2**28), ("0.583", 0.583),
    ("583m", 0.583), ("", None), ("much", None),
])  # fmt: skip
def test_a_quantity_is_read_in_every_spelling(text: str, number: float | None) -> None:
    assert _quantity(text) == (number if number is None else pytest.approx(number))


def test_roles_of_the_whole_project() -> None:
    url = "cloudresourcemanager.googleapis.com/v3/projects/p:getIamPolicy"
    robot = "serviceAccount:a@p.iam.gserviceaccount.com"
    found = admin({url: {"bindings": [
        {"role": "roles/editor", "members": [robot]}, {"role": "roles/viewer", "members": ["user:a@b.c"]},
        {"role": "roles/viewer", "members": [robot], "condition": {"title": "sometimes"}},
    ]}}).roles()  # fmt: skip
    assert found == {"roles/editor": {robot}, "roles/viewer": {"user:a@b.c", robot}}
    with pytest.raises(CannotObserve, match="no permission"):
        admin({url: 403}).roles()


@pytest.mark.parametrize(("answer", "sentence"), [
    (403, r"cloudfunctions\.googleapis\.com: no permission"),
    (500, r"cloudfunctions\.googleapis\.com did not answer"),
    ({"functions": [], "unreachable": ["projects/p/locations/us-east1"]}, "could not reach"),
])  # fmt: skip
def test_an_incomplete_answer_is_not_an_empty_one(answer: Any, sentence: str) -> None:
    with pytest.raises(CannotObserve, match=sentence):
        admin({FUNCTIONS: answer}).functions()


def test_grants_of_datasets_in_both_spellings() -> None:
    url = "bigquery.googleapis.com/bigquery/v2/projects/p/datasets/d"
    robot = "a@p.iam.gserviceaccount.com"
    readers, writers = admin({url: {"access": [
        {"role": "READER", "userByEmail": robot}, {"role": "WRITER", "userByEmail": "b@example.org"},
        {"role": "roles/bigquery.dataEditor", "iamMember": "serviceAccount:c@p"},
        {"role": "OWNER", "specialGroup": "projectOwners"}, {"role": "READER", "groupByEmail": "g@example.org"},
        {"view": {"datasetId": "x"}},
    ]}}).datasets(["d"])  # fmt: skip
    assert writers["d"] == {"user:b@example.org", "serviceAccount:c@p", "user:projectOwners"}
    assert readers["d"] == writers["d"] | {f"serviceAccount:{robot}", "group:g@example.org"}


def test_a_dataset_that_is_not_there_is_no_reason_to_stop_looking() -> None:
    url = "bigquery.googleapis.com/bigquery/v2/projects/p/datasets/"
    readers, writers = admin({f"{url}a": 404, f"{url}b": {"access": []}}).datasets(["a", "b"])
    assert readers == writers == {"b": frozenset()}
    with pytest.raises(CannotObserve, match="no permission"):
        admin({f"{url}a": 403}).datasets(["a"])


def test_channels_that_are_off_or_not_confirmed() -> None:
    url = "monitoring.googleapis.com/v3/projects/p/notificationChannels"
    names = [{"name": "n/1", "displayName": "on", "enabled": True}, {"name": "n/2", "enabled": False},
             {"name": "n/3", "displayName": "new", "enabled": True, "verificationStatus": "UNVERIFIED"}]  # fmt: skip
    assert admin({url: {"notificationChannels": names}}).channels() == {
        "on": "", "2": "it is switched off", "new": "nobody has confirmed it",
    }  # fmt: skip


def test_a_secret_is_its_newest_version() -> None:
    url = "secretmanager.googleapis.com/v1/projects/p/secrets/s/versions/latest:access"
    data = base64.b64encode(b"https://hooks.example/x\n").decode()
    assert admin({url: {"payload": {"data": data}}}).secret("s") == "https://hooks.example/x"
    with pytest.raises(CannotObserve, match=r"^secretmanager\.googleapis\.com: "):
        admin({}).secret("s")


def test_a_schedule_is_read_with_everything_that_matters() -> None:
    raw = scheduler_v1.Job(
        name="projects/p/locations/r/jobs/j", schedule="5 * * * *", time_zone="Etc/UTC",
        state=scheduler_v1.Job.State.PAUSED, status={"code": 7, "message": "denied"},
        http_target=scheduler_v1.HttpTarget(
            uri="https://f", http_method=scheduler_v1.HttpMethod.POST, body=b'{"scan_for_gaps":true}',
            oidc_token=scheduler_v1.OidcToken(service_account_email="a@p", audience="https://f"),
        ),
    )  # fmt: skip
    assert _job(raw) == Job(
        "5 * * * *", "Etc/UTC", "https://f", "POST", {"scan_for_gaps": True}, "https://f", "a@p", True, "code 7 denied"
    )
    raw.http_target.body = b"not JSON"
    assert _job(raw).body == "not JSON"


def test_without_credentials_nothing_is_called_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_args: Any, **_options: Any) -> Any:
        raise DefaultCredentialsError("none")  # type: ignore[no-untyped-call]

    monkeypatch.setattr("google.auth.default", none)
    with pytest.raises(CannotObserve, match="gcloud auth application-default login"):
        CloudAdmin("p").functions()
    with pytest.raises(CannotObserve, match="gcloud auth application-default login"):
        SchedulerAdmin("p", ["us-central1"]).schedules()
