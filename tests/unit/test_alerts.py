"""What people are told, and when; and how Slack gets it, with a real server in its place."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.declare.settings import read_settings
from gapless.errors import BadInput
from gapless.tell.alerts import (
    DAY,
    LEASE,
    REPEAT,
    Alert,
    AlertState,
    Delivered,
    LogChannel,
    LoggedAlert,
    News,
    Notice,
    Urgency,
    compose,
    console_url,
    decide,
    first_dates,
)
from gapless.tell.slack import SlackChannel, Undelivered

NOW = datetime(2024, 2, 12, 11, tzinfo=UTC)
PAGE = Alert("gaps/flood", Urgency.PAGE, 143, "143 gaps are open, more than 100", "143 missing")
OLD = Alert("gaps/old/revenue", Urgency.WARNING, 3, "revenue: 3 dates could have been filled", "2024-01-01")
THIN = Alert("gaps/thin/revenue", Urgency.INFO, 1, "revenue: 1 date is thin")


def sent(alert: Alert, at: datetime, state: AlertState = AlertState.SENT) -> dict[str, LoggedAlert]:
    return {alert.key: LoggedAlert(alert.severity, state, alert.size, alert.headline, at)}


def news(alert: Alert, told: Mapping[str, LoggedAlert], now: datetime = NOW) -> News | None:
    notices = decide([alert], told, now)
    assert len(notices) <= 1
    return notices[0].news if notices else None


# -- the decision ------------------------------------------------------------------------------------------------------


def test_what_is_new_is_told_and_what_was_told_is_not() -> None:
    assert news(OLD, {}) is News.NEW
    assert news(OLD, sent(OLD, NOW - timedelta(minutes=1))) is None


@pytest.mark.parametrize(
    ("alert", "after", "expected"),
    [
        (PAGE, timedelta(hours=23, minutes=59), News.STILL),  # a daily call that comes a little early
        (PAGE, timedelta(hours=2), None),
        (OLD, timedelta(days=3), None),
        (OLD, timedelta(days=6, hours=23), News.STILL),
        (THIN, timedelta(days=400), None),
    ],
)
def test_it_repeats_a_page_daily_a_warning_weekly_and_an_information_never(
    alert: Alert, after: timedelta, expected: News | None
) -> None:
    assert news(alert, sent(alert, NOW - after)) is expected


def test_more_of_it_is_told_a_day_later_and_less_of_it_never() -> None:
    told = sent(OLD, NOW - timedelta(days=1))
    assert news(OLD._replace(size=4), told) is News.WORSE
    assert news(OLD._replace(size=4), sent(OLD, NOW - timedelta(hours=1))) is None
    assert news(OLD._replace(size=2), told) is None


def test_what_became_graver_is_told_at_once() -> None:
    assert news(OLD._replace(severity=Urgency.PAGE), sent(OLD, NOW - timedelta(minutes=1))) is News.WORSE


def test_what_did_not_arrive_is_told_by_the_next_run() -> None:
    assert news(THIN, sent(THIN, NOW - timedelta(minutes=1), AlertState.UNDELIVERED)) is News.NEW


def test_what_another_run_is_telling_is_left_to_it_until_its_lease_ends() -> None:
    assert news(OLD, sent(OLD, NOW - timedelta(minutes=1), AlertState.CLAIMED)) is None
    assert news(OLD, sent(OLD, NOW - LEASE, AlertState.CLAIMED)) is News.NEW
    assert decide([], sent(OLD, NOW - timedelta(minutes=1), AlertState.CLAIMED), NOW) == ()
    assert decide([], sent(OLD, NOW - LEASE, AlertState.CLAIMED), NOW)[0].news is News.OVER


def test_what_is_over_is_told_once_and_only_by_a_run_that_saw_everything() -> None:
    told = sent(PAGE, NOW - timedelta(hours=1))
    assert [(n.news, n.alert.headline) for n in decide([], told, NOW)] == [(News.OVER, PAGE.headline)]
    assert decide([], told, NOW, whole=False) == ()
    assert decide([], sent(PAGE, NOW, AlertState.RECOVERED), NOW) == ()
    assert news(PAGE, sent(PAGE, NOW, AlertState.RECOVERED)) is News.NEW


def test_the_gravest_comes_first_and_what_is_over_last() -> None:
    over = OLD._replace(key="gaps/old/orders")
    notices = decide([THIN, OLD, PAGE], sent(over, NOW - timedelta(days=1)), NOW)
    assert [n.alert.key for n in notices] == [PAGE.key, OLD.key, THIN.key, over.key]


KEYS = ["gaps/flood", "gaps/scan", "gaps/old/a"]
alerts = st.builds(
    lambda key, severity, size: Alert(key, severity, size, f"{key} {size}"),
    st.sampled_from(KEYS), st.sampled_from(list(Urgency)), st.integers(1, 5),
)  # fmt: skip
looks = st.lists(alerts, max_size=3, unique_by=lambda alert: alert.key)


@dataclass
class World:
    """The log, as runs with a channel that sometimes fails fill it; and what people read."""

    now: datetime = NOW
    told: dict[str, LoggedAlert] = field(default_factory=dict)
    read: list[tuple[datetime, Notice]] = field(default_factory=list)

    def run(self, found: list[Alert], works: bool, hours: int) -> None:
        self.now += timedelta(hours=hours)
        for notice in decide(found, self.told, self.now):
            alert = notice.alert
            state = AlertState.RECOVERED if notice.news is News.OVER else AlertState.SENT
            state = state if works else AlertState.UNDELIVERED
            self.told[alert.key] = LoggedAlert(alert.severity, state, alert.size, alert.headline, self.now)
            if works:
                self.read.append((self.now, notice))


runs = st.lists(st.tuples(looks, st.booleans(), st.integers(0, 60)), max_size=30)


@given(looks, st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=40))
def test_one_unchanged_state_is_never_read_twice_within_the_interval(
    found: list[Alert], later: list[tuple[bool, int]]
) -> None:
    world = World()
    for works, hours in later:
        world.run(found, works, hours)
    for alert in found:
        times = [at for at, notice in world.read if notice.alert.key == alert.key]
        least = REPEAT.get(alert.severity)
        assert all(b - a >= least for a, b in pairwise(times)) if least else len(times) <= 1


@given(runs)
def test_growing_and_shrinking_never_makes_more_than_one_message_a_day_of_one_severity(
    history: list[tuple[list[Alert], bool, int]],
) -> None:
    world = World()
    for found, works, hours in history:
        steady = [Alert(key, Urgency.WARNING, 1, key) for key in KEYS]
        sizes = {alert.key: alert.size for alert in found}
        world.run([alert._replace(size=sizes.get(alert.key, 1)) for alert in steady], works, hours)
    for key in KEYS:
        times = [at for at, notice in world.read if notice.alert.key == key]
        assert all(b - a >= DAY for a, b in pairwise(times))


@given(runs)
def test_every_open_alert_ends_with_a_notice_that_it_is_over(history: list[tuple[list[Alert], bool, int]]) -> None:
    world = World()
    for found, works, hours in history:
        world.run(found, works, hours)
    opened = {key for key, told in world.told.items() if told.state is not AlertState.RECOVERED}
    before = len(world.read)
    world.run([], True, 1)
    assert {n.alert.key for _, n in world.read[before:] if n.news is News.OVER} == opened
    world.run([], True, 1)
    assert len(world.read) == before + len(opened)


@given(runs)
def test_people_never_read_that_something_is_over_before_a_run_said_it_is_there(
    history: list[tuple[list[Alert], bool, int]],
) -> None:
    world = World()
    seen: set[str] = set()
    for found, works, hours in history:
        seen |= {alert.key for alert in found}
        before = len(world.read)
        world.run(found, works, hours)
        assert {n.alert.key for _, n in world.read[before:]} <= seen


@given(st.permutations([THIN, OLD, PAGE]), st.lists(st.sampled_from([THIN, OLD, PAGE]), unique=True))
def test_the_order_in_which_things_are_found_is_irrelevant(found: list[Alert], known: list[Alert]) -> None:
    told: dict[str, LoggedAlert] = {}
    for alert in known:
        told |= sent(alert, NOW - timedelta(days=2))
    assert decide(found, told, NOW) == decide(sorted(found), dict(reversed(told.items())), NOW)


# -- the words ---------------------------------------------------------------------------------------------------------


def test_a_message_shows_the_first_ten_dates_in_order() -> None:
    days = [date(2024, 1, day) for day in range(13, 0, -1)]
    assert first_dates(days) == ", ".join(f"2024-01-{day:02}" for day in range(1, 11)) + " and 3 more"
    assert first_dates(days[:2]) == "2024-01-12, 2024-01-13"


def test_one_message_holds_all_notices_and_the_link() -> None:
    text = compose([Notice(PAGE, News.NEW), Notice(OLD, News.OVER)], "shop", "https://logs.example")
    assert text.splitlines() == [
        "Gapless (shop): 1 page, 1 over",
        "PAGE (new): 143 gaps are open, more than 100",
        "143 missing",
        "OVER: revenue: 3 dates could have been filled",
        "Logs: https://logs.example",
    ]


def test_a_message_stays_readable_however_much_there_is_to_tell() -> None:
    many = [Notice(OLD._replace(key=str(i), headline="x" * 5000, text="y" * 5000), News.NEW) for i in range(200)]
    text = compose(many, "shop", "https://logs.example")
    assert len(text) < 4000
    assert "more; all of them are in the log" in text
    assert text.endswith("Logs: https://logs.example")


def test_the_link_names_the_project_and_the_function() -> None:
    assert console_url("my-project", "gap_detector") == (
        "https://console.cloud.google.com/logs/query;query=jsonPayload.function%3D%22gap_detector%22?project=my-project"
    )


def test_a_delivery_counts_pages_and_recoveries() -> None:
    told = Delivered((Notice(PAGE, News.NEW), Notice(OLD, News.STILL), Notice(PAGE, News.OVER)))
    assert (told.paged, told.recovered) == (1, 1)
    LogChannel().send("nothing happens")


# -- settings ----------------------------------------------------------------------------------------------------------


def test_the_webhook_is_read_without_its_line_end_and_shown_nowhere() -> None:
    secret = "https://hooks.slack.example/services/T0/B0/s3cret"
    settings = read_settings({"GAPLESS_SLACK_WEBHOOK": f"{secret}\n"})
    assert settings.slack_webhook == secret
    assert "s3cret" not in repr(settings)
    assert read_settings({"GAPLESS_SLACK_WEBHOOK": " "}).slack_webhook == ""


@pytest.mark.parametrize("value", ["hooks.slack.com/s3cret", "http://hooks.slack.com/s3cret", "https://a b/s3cret"])
def test_a_webhook_that_is_no_address_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(BadInput, match="GAPLESS_SLACK_WEBHOOK") as error:
        read_settings({"GAPLESS_SLACK_WEBHOOK": value})
    assert "s3cret" not in str(error.value)


def test_a_link_that_is_no_address_is_refused() -> None:
    assert read_settings({"GAPLESS_LOGS_URL": "https://logs.example/x"}).logs_url == "https://logs.example/x"
    with pytest.raises(BadInput, match="GAPLESS_LOGS_URL is 'logs'"):
        read_settings({"GAPLESS_LOGS_URL": "logs"})


# -- the wire ----------------------------------------------------------------------------------------------------------

PATH = "/services/T0/B0/s3cret"


@dataclass
class Endpoint:
    """Stands in for Slack: answers what a test says, and keeps what it was sent."""

    port: int = 0
    status: int = 200
    answer: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    slow: threading.Event | None = None
    got: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    slack = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            slack.got.append((self.path, self.headers["Content-Type"], body))
            if slack.slow:
                slack.slow.wait(5)
            self.send_response(slack.status)
            for name, value in slack.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(slack.answer)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    slack.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield slack
    if slack.slow:
        slack.slow.set()
    server.shutdown()
    server.server_close()
    thread.join()


def refused(url: str, seconds: float = 5.0) -> Undelivered:
    with pytest.raises(Undelivered) as error:
        SlackChannel(url, seconds).send("text")
    shown = io.StringIO()
    print(error.value, repr(error.value), error.value.__cause__, file=shown)
    assert "s3cret" not in shown.getvalue()
    return error.value


def test_slack_gets_json_in_which_nothing_is_markup(endpoint: Endpoint) -> None:
    SlackChannel(endpoint.url).send("a < b & <!channel> – ü\nline")
    path, kind, body = endpoint.got[0]
    assert (path, kind) == (PATH, "application/json; charset=utf-8")
    assert json.loads(body) == {
        "text": "a &lt; b &amp; &lt;!channel&gt; – ü\nline",
        "unfurl_links": False,
    }


@pytest.mark.parametrize(
    ("status", "answer", "permanent", "said"),
    [
        (404, b"no_service", True, r"answered 404 \(no_service\).*GAPLESS_SLACK_WEBHOOK"),
        (403, b"action_prohibited", True, r"403 \(action_prohibited\)"),
        (410, b"channel_is_archived", True, "410"),
        (400, f"see {PATH}".encode(), True, "400;"),
        (429, b"rate_limited", False, "429"),
        (500, b"", False, "500.*next run"),
        (503, b"<html>", False, "503"),
    ],
)
def test_what_slack_refuses_says_whether_trying_again_helps(
    endpoint: Endpoint, status: int, answer: bytes, permanent: bool, said: str
) -> None:
    endpoint.status, endpoint.answer = status, answer
    error = refused(endpoint.url)
    assert error.permanent is permanent
    assert re.search(said, str(error))


def test_a_redirect_is_not_followed_with_the_secret(endpoint: Endpoint) -> None:
    endpoint.status, endpoint.headers = 302, {"Location": endpoint.url}
    assert refused(endpoint.url).permanent
    assert len(endpoint.got) == 1


def test_a_web_page_that_answers_200_is_not_slack(endpoint: Endpoint) -> None:
    endpoint.answer = b"<!doctype html><title>Sign in</title>"
    assert refused(endpoint.url).permanent


def test_slack_that_does_not_answer_in_time_is_tried_again(endpoint: Endpoint) -> None:
    endpoint.slow = threading.Event()
    error = refused(endpoint.url, seconds=0.2)
    assert not error.permanent
    assert "0.2 s" in str(error)


def test_slack_that_cannot_be_reached_is_tried_again() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert not refused(f"http://127.0.0.1:{port}{PATH}").permanent


def test_an_address_that_is_none_is_refused_for_good() -> None:
    assert refused("s3cret").permanent
