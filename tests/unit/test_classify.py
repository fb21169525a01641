"""Categories: the tables of the guide that was written after December 2021, and what is expected to be absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gapless.declare.words import Words
from gapless.engine import Look
from gapless.judge.verdicts import judge
from gapless.model import Acknowledged, Day, History, Ledger, Plan, Policy, Scope, Seen, Target, Verdict
from gapless.questions.classify import EXPECTED, Category, Classifier, by_date
from tests.support.observations import sparse
from tests.twin import declare

PGS, TDZA, PSZA = "player_game_summary", "team_defense_zone_analysis", "player_shot_zone_analysis"
PCF, PDC, MLFS = "player_composite_factors", "player_daily_cache", "ml_feature_store_v2"
OPENING = date(2021, 10, 19)
NOW = datetime(2022, 3, 1, 17, tzinfo=UTC)
READ = {"own_day": True, "version": False}

# The chain of the guide: TDZA and PSZA in parallel, then PCF, then PDC, then the features.
GUIDE: Mapping[str, Mapping[str, Any]] = {
    PGS: {"run": "none"},
    TDZA: {"bootstrap_days": 14, "phase": 4, "upstream": {PGS: {"lookback_days": 120, "version": False}}},
    PSZA: {"bootstrap_days": 14, "phase": 4, "upstream": {PGS: {"lookback_days": 60, "version": False}}},
    PCF: {
        "bootstrap_days": 14, "phase": 4, "expect": {"keys_of": PGS}, "suspect": "opponent_strength_score = 0",
        "upstream": {PGS: READ, TDZA: READ, PSZA: READ},
    },
    PDC: {
        "bootstrap_days": 14, "phase": 4, "lag_days": 1, "expect": {"keys_of": PGS},
        "upstream": {PGS: READ, PSZA: READ, PCF: READ},
    },
    MLFS: {
        "bootstrap_days": 14, "phase": 4, "expect": {"keys_of": PGS}, "suspect": "opponent_strength_score = 0",
        "upstream": {PGS: READ, TDZA: READ, PSZA: READ, PCF: READ, PDC: READ},
    },
}  # fmt: skip


def whole(keys: int, **more: Any) -> Seen:
    return Seen(keys, keys, keys, inputs=0)._replace(**more)


def sound(day: date, players: int = 200) -> dict[str, dict[date, Seen]]:
    """A date on which every processor has what it should."""
    keys = {PGS: players, TDZA: 30, PSZA: 400, PCF: players, PDC: players, MLFS: players}
    return {name: {day: whole(count)} for name, count in keys.items()}


def classified(
    *days: Mapping[str, Mapping[date, Seen]],
    calendar: Mapping[date, Day],
    now: datetime = NOW,
    ledger: Ledger | None = None,
) -> Classifier:
    """A look at dates; later mappings replace what earlier ones say of a target."""
    pipeline = declare(GUIDE, calendar="calendar", words=Words("game", "games", "played"))
    seen: dict[str, dict[date, Seen]] = {name: {} for name in GUIDE}
    for columns in days:
        for name, dates in columns.items():
            seen[name].update(dates)
    first, last = min(calendar), max(calendar)
    observation = sparse(GUIDE, seen, first, last, calendar=calendar, ledger=ledger)
    judgement = judge(pipeline, observation, Policy(), Scope(first, last), now)
    return Classifier(pipeline, Look(observation, judgement, Plan(), now))


def games(day: date, scheduled: int = 8, played: int | None = None) -> dict[date, Day]:
    return {day: Day(scheduled, scheduled if played is None else played, OPENING)}


# -- December 2021 ---------------------------------------------------------------------------------------------------

# "December 2021 analysis" of the guide, line by line; its signs are left out, and its remark on Christmas.
DECEMBER = """
Dec 15 | 11 | 11 | OK        | OK      | None
Dec 16 |  4 |  0 | POSTPONED | STALE   | Data for no game
Dec 17 |  8 |  0 | POSTPONED | STALE   | Data for no game
Dec 18 |  7 |  0 | POSTPONED | STALE   | Data for no game
Dec 19 |  6 |  9 | PARTIAL   | OK      | None
Dec 20 |  6 |  0 | POSTPONED | STALE   | Data for no game
Dec 21 |  5 |  0 | POSTPONED | STALE   | Data for no game
Dec 23 | 11 | 12 | PARTIAL   | MISSING | True gap
Dec 25 |  5 |  0 | POSTPONED | none    | None
Dec 26 |  8 |  8 | OK        | PARTIAL | 78% complete
Dec 28 |  8 |  0 | POSTPONED | STALE   | Data for no game
Dec 29 |  8 |  9 | PARTIAL   | PARTIAL | 56% complete
Dec 30 |  3 |  0 | POSTPONED | STALE   | Data for no game
Dec 31 | 10 | 10 | OK        | MISSING | True gap
"""
PER_GAME = 20


def of_december(line: str) -> tuple[date, int, int, str, str, str]:
    day, scheduled, played, status, data, issue = (part.strip() for part in line.split("|"))
    written = issue.lower().replace("%", " %")
    return date(2021, 12, int(day[4:])), int(scheduled), int(played), status.lower(), data.lower(), written


def test_the_december_of_the_guide_is_told_line_by_line() -> None:
    lines = [of_december(line) for line in DECEMBER.strip().splitlines()]
    calendar: dict[date, Day] = {}
    columns: list[Mapping[str, Mapping[date, Seen]]] = []
    for day, scheduled, played, _, data, issue in lines:
        calendar |= games(day, scheduled, played)
        players = played * PER_GAME
        if played:
            columns.append(sound(day, players))
        features = {
            "ok": whole(players),
            "stale": Seen(0, 0, scheduled * PER_GAME, extra=scheduled * PER_GAME, inputs=0),
            "missing": Seen(players, 0),
            "none": None,
        }.get(data)
        if data == "partial":
            share = players * int(issue.split()[0]) // 100
            features = Seen(players, share, share, inputs=0)
        if features:
            columns.append({MLFS: {day: features}})
    classifier = classified(*columns, calendar=calendar)
    told = by_date(classifier, (MLFS,), lines[0][0], lines[-1][0])
    assert [line[:6] for line in told] == lines
    issues = {"none": None, "data for no game": Category.STALE_SCHEDULED}
    for day, *_, issue in lines:
        assert classifier.category(Target(MLFS, day)) is issues.get(issue, Category.TRUE_GAP)


def test_the_fourth_of_december_cascades_from_a_missing_team_defence() -> None:
    """TDZA 0, PSZA 351, PCF 131 with an opponent strength of 0 for all, PDC 97, features 131 built on them."""
    day = date(2021, 12, 4)
    bad = Seen(131, 131, 131, suspect=131, inputs=0)
    hurt = {
        TDZA: {day: Seen(30, 0)}, PSZA: {day: whole(351)}, PCF: {day: bad}, PDC: {day: whole(97)}, MLFS: {day: bad},
    }  # fmt: skip
    classifier = classified(sound(day, 131), hurt, calendar=games(day))
    categories = {name: classifier.category(Target(name, day)) for name in GUIDE}
    assert categories == {
        PGS: None, TDZA: Category.TRUE_GAP, PSZA: None, PCF: Category.CASCADING, PDC: Category.CASCADING,
        MLFS: Category.CASCADING,
    }  # fmt: skip
    for name in (PCF, PDC, MLFS):
        assert classifier.root(Target(name, day)) == Target(TDZA, day)
    (line,) = by_date(classifier, list(GUIDE), day, day)
    assert (line.data, line.issue, line.processors) == ("missing", "true gap", (TDZA,))

    # with its upstream back, what was built on zeros is still what cascaded
    back = classified(sound(day, 131), {PCF: {day: bad}, MLFS: {day: bad}}, calendar=games(day))
    assert back.verdict(Target(PCF, day)) is Verdict.CONTAMINATED
    assert back.category(Target(PCF, day)) is Category.CASCADING
    assert back.root(Target(MLFS, day)) == Target(PCF, day)


# -- what is expected to be absent -----------------------------------------------------------------------------------


def test_the_first_fourteen_days_of_a_season_are_bootstrap() -> None:
    last = OPENING + timedelta(days=13)
    calendar = games(OPENING) | games(last)
    played = {PGS: {OPENING: whole(50), last: whole(50)}, PCF: {last: Seen(50, 0)}}
    classifier = classified(played, calendar=calendar)
    for name in (TDZA, PSZA, PCF, PDC, MLFS):
        for day in (OPENING, last):
            assert classifier.category(Target(name, day)) is Category.BOOTSTRAP, (name, day)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_shot_zones_may_begin_two_or_three_days_after_the_other_processors(late: int) -> None:
    """They need more history: their own rule expects nothing yet, and nothing is missed."""
    day = OPENING + timedelta(days=14 + late)
    classifier = classified(sound(day), {PSZA: {day: Seen(0, 0)}}, calendar=games(day))
    assert classifier.category(Target(PSZA, day)) is Category.LATE_START
    assert classifier.category(Target(TDZA, day)) is None
    # where its rule does expect rows, their absence is a gap on the same days
    gap = classified(sound(day), {PSZA: {day: Seen(400, 0)}}, calendar=games(day))
    assert gap.category(Target(PSZA, day)) is Category.TRUE_GAP


def test_a_rule_that_expects_nothing_in_the_middle_of_a_season_is_no_late_start() -> None:
    day = date(2022, 1, 10)
    classifier = classified(sound(day), {PSZA: {day: Seen(0, 0)}}, calendar=games(day))
    assert classifier.category(Target(PSZA, day)) is Category.CASCADING
    postponed = classified({PSZA: {day: Seen(0, 0)}}, calendar=games(day, 4, 0))
    assert postponed.category(Target(PSZA, day)) is None


def test_the_cache_may_be_one_day_behind_and_nothing_else_may() -> None:
    """12 January 2026, evening: factors are there for the 12th, the cache ends on the 11th: normal lag."""
    today = NOW.date()
    before = today - timedelta(days=1)
    calendar = games(before) | games(today)
    behind = classified(sound(before), sound(today), {PDC: {today: Seen(200, 0)}}, calendar=calendar)
    assert behind.category(Target(PDC, today)) is Category.LAG
    assert behind.waits_for_expected(Target(MLFS, today))
    late = classified(sound(before), sound(today), {PDC: {before: Seen(200, 0)}}, calendar=calendar)
    assert late.category(Target(PDC, before)) is Category.TRUE_GAP
    assert not late.waits_for_expected(Target(MLFS, before))
    other = classified(sound(before), sound(today), {PCF: {today: Seen(200, 0)}}, calendar=calendar)
    assert other.category(Target(PCF, today)) is Category.TRUE_GAP


def test_what_is_prepared_for_tomorrow_is_not_missed_today() -> None:
    tomorrow = NOW.date() + timedelta(days=1)
    classifier = classified(sound(tomorrow), {PCF: {tomorrow: Seen(200, 0)}}, calendar=games(tomorrow, 8, 0))
    assert classifier.verdict(Target(PCF, tomorrow)) is Verdict.MISSING
    assert classifier.category(Target(PCF, tomorrow)) is Category.LAG


def test_a_person_may_have_acknowledged_it() -> None:
    day = date(2021, 11, 14)
    word = Acknowledged(MLFS, day, day, "calculation errors", "data team")
    classifier = classified(
        sound(day), {MLFS: {day: Seen(200, 0)}}, calendar=games(day), ledger=Ledger(acknowledged=[word])
    )
    assert classifier.category(Target(MLFS, day)) is Category.ACKNOWLEDGED


def test_every_category_is_either_a_fault_or_expected() -> None:
    faults = {
        Category.TRUE_GAP, Category.CASCADING, Category.DAMAGED, Category.STALE_SCHEDULED, Category.UNTRACKED,
    }  # fmt: skip
    assert set(Category) == faults | EXPECTED
    assert not faults & EXPECTED


# -- the rest --------------------------------------------------------------------------------------------------------

DAY = date(2022, 1, 10)


@pytest.mark.parametrize(
    ("seen", "category"),
    [
        (whole(200), None),
        (Seen(200, 0), Category.TRUE_GAP),
        (Seen(187, 1, 1, inputs=0), Category.TRUE_GAP),
        (Seen(200, 0, 200, extra=200, inputs=0), Category.TRUE_GAP),
        (whole(200, suspect=1), Category.CASCADING),
        (whole(200, altered=1), Category.DAMAGED),
        (whole(200, rows=201, duplicates=1), Category.DAMAGED),
        (whole(200, inputs=5), Category.CASCADING),
        (whole(200, rows=220, extra=20), Category.STALE_SCHEDULED),
        (Seen(200, 150, 150, altered=1, inputs=0), Category.DAMAGED),
    ],
)
def test_a_target_whose_upstream_is_complete_is_classified_by_its_own_rows(
    seen: Seen, category: Category | None
) -> None:
    assert classified(sound(DAY), {MLFS: {DAY: seen}}, calendar=games(DAY)).category(Target(MLFS, DAY)) is category


def test_a_spent_retry_budget_changes_nothing_about_how_it_came() -> None:
    target = Target(MLFS, DAY)
    history = History(attempts=3, failures=3, inputs=0, last_attempt=NOW, last_error="no rows")
    classifier = classified(
        sound(DAY), {MLFS: {DAY: Seen(200, 0)}}, calendar=games(DAY), ledger=Ledger({target: history})
    )
    assert classifier.verdict(target) is Verdict.EXHAUSTED
    assert classifier.category(target) is Category.TRUE_GAP


def test_a_root_in_a_look_back_window_is_found() -> None:
    """Nothing is expected of shot zones, because a summary in their window is lost: they wait for it."""
    lost = DAY - timedelta(days=3)
    pipeline = declare(
        {**GUIDE, PGS: {"run": "none", "expect": {"query": "games"}}, PSZA: {**GUIDE[PSZA], "upstream": {
            PGS: {"lookback_days": 60}}}},
        calendar="calendar",
    )  # fmt: skip
    base = classified(
        sound(DAY), {PGS: {lost: Seen(200, 0)}, PSZA: {DAY: Seen(0, 0)}}, calendar=games(DAY) | games(lost)
    )
    look = base.look
    judgement = judge(pipeline, look.observation, Policy(), look.judgement.scope, NOW)
    classifier = Classifier(pipeline, replace(look, judgement=judgement))
    assert classifier.verdict(Target(PSZA, DAY)) is Verdict.BLOCKED
    assert classifier.root(Target(PSZA, DAY)) == Target(PGS, lost)
    assert classifier.root(Target(PCF, DAY)) == Target(PGS, lost)
