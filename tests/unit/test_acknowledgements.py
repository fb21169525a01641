"""Acknowledgements: what they cover, when they end, and the file that carries them, exactly or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.judge.verdicts import judge
from gapless.model import Acknowledged, Day, Ledger, Plan, Policy, Scope, Seen, Target, Verdict, days_between
from gapless.questions.acknowledgements import LONGEST, AckState, as_yaml, by_range, compare, in_look, parse, standing
from tests.support.observations import sparse
from tests.twin import declare

ROOT = Path(__file__).parents[2]
NOW = datetime(2024, 1, 20, 17, tzinfo=UTC)
FIRST, DAY = date(2024, 1, 1), date(2024, 1, 5)
LOADED = 1_704_500_000_000_000  # 2024-01-06, in microseconds
BEFORE, AFTER = (datetime.fromtimestamp(LOADED / 1e6 + s, UTC) for s in (-1, 1))
PLAYED = Day(5, 5)
KINDS: Mapping[str, Mapping[str, Any]] = {
    "calendar": {"run": "none"},
    "games": {
        "run": "none",
        "expect": {"keys_of": "calendar"},
        "upstream": {"calendar": {"own_day": True, "version": False}},
    },
    "odds": {"run": "none", "optional": True},
    "summary": {
        "expect": {"keys_of": "games"},
        "upstream": {"games": {"own_day": True}, "calendar": {"own_day": True, "version": False}},
    },
    "rolling": {
        "expect": {"keys_of": "summary"},
        "upstream": {"summary": {"lookback_days": 3}, "calendar": {"own_day": True, "version": False}},
    },
}
NBA = load_pipeline()


def word(processor: str = "summary", first: date = DAY, last: date | None = None, **more: Any) -> Acknowledged:
    return Acknowledged(processor, first, last or first, "the arena lost it", "ana", **more)


def look(columns: Mapping[str, Mapping[date, Seen]], *words: Acknowledged, scope: Scope | None = None) -> Look:
    """A judged look at a January; a date that is not given holds nothing and expects nothing."""
    pipeline = declare(KINDS)
    last = FIRST + timedelta(days=30)
    calendar = dict.fromkeys(days_between(FIRST, date(2024, 1, 10)), PLAYED)
    observation = sparse(KINDS, columns, FIRST, last, calendar=calendar, ledger=Ledger(acknowledged=words))
    judgement = judge(pipeline, observation, Policy(), scope or Scope(FIRST, last), NOW)
    return Look(observation, judgement, Plan(), NOW)


def there(changed_at: int = LOADED, keys: int = 3, version: int = 0) -> Seen:
    return Seen(keys, keys, keys, version=version, inputs=0, changed_at=changed_at)


LOST = Seen(3, 0)


# -- what the judge makes of them --------------------------------------------------------------------------------------


def test_what_is_read_for_the_expectation_only_is_no_source_that_comes_back() -> None:
    """A schedule that is loaded again says nothing about a lost box score."""
    columns = {"calendar": {DAY: there()}, "games": {DAY: LOST}}
    seen = look(columns, word("games", since=BEFORE))
    assert seen.judgement.verdict(Target("games", DAY)) is Verdict.ACKNOWLEDGED


def test_a_source_comes_back_by_its_own_rows() -> None:
    for since, verdict in ((AFTER, Verdict.ACKNOWLEDGED), (BEFORE, Verdict.PARTIAL)):
        columns = {"calendar": {DAY: there()}, "games": {DAY: Seen(3, 1, 1, changed_at=LOADED)}}
        assert look(columns, word("games", since=since)).judgement.verdict(Target("games", DAY)) is verdict


def test_what_reads_windows_only_reopens_when_one_of_its_days_is_written() -> None:
    for day, verdict in ((DAY - timedelta(days=3), Verdict.MISSING), (DAY - timedelta(days=4), Verdict.ACKNOWLEDGED)):
        columns = {"summary": {day: there()}, "games": {day: there()}, "rolling": {DAY: LOST}}
        seen = look(columns, word("rolling", since=BEFORE))
        assert seen.judgement.verdict(Target("rolling", DAY)) is verdict


def test_a_source_of_which_nothing_is_expected_is_shown_as_acknowledged_where_games_were_played() -> None:
    seen = look({"odds": {DAY: there()}}, word("odds", FIRST, date(2024, 1, 20)))
    found = {day: seen.judgement.verdict(Target("odds", day)) for day in (FIRST, DAY, date(2024, 1, 15))}
    assert found == {
        FIRST: Verdict.ACKNOWLEDGED, DAY: Verdict.COMPLETE, date(2024, 1, 15): Verdict.OFF_DAY,
    }  # fmt: skip


def test_a_gap_says_which_acknowledgement_does_not_hold_any_more_and_why() -> None:
    columns = {"games": {DAY: there()}, "summary": {DAY: LOST}}
    for lapsed, told in (
        (word(expires=date(2024, 1, 19)), "the acknowledgement of ana expired on 2024-01-19"),
        (word(since=BEFORE), "ana had acknowledged it, and games 2024-01-05 was written since"),
    ):
        (gap,) = [g for g in look(columns, lapsed).judgement.gaps if g.target == Target("summary", DAY)]
        assert (gap.verdict, gap.detail) == (Verdict.MISSING, told)


# -- what they do now --------------------------------------------------------------------------------------------------


def test_a_standing_counts_what_is_left_alone_what_reopened_and_what_needs_nothing() -> None:
    days = [DAY + timedelta(days=i) for i in range(4)]
    columns = {
        "games": {days[0]: there(), days[1]: there(LOADED + 9_000_000), days[2]: there(), days[3]: there()},
        "summary": {days[0]: LOST, days[1]: LOST, days[2]: LOST, days[3]: there()},
    }
    given = word(last=days[3], since=AFTER)
    seen = look(columns, given)
    told = standing(declare(KINDS), seen, given)
    assert (told.state, told.targets, told.reopened, told.filled) == (AckState.REOPENED, 2, (days[1],), 1)
    assert told.note == "games 2024-01-06 was written since; 1 of its targets are complete"
    assert in_look(declare(KINDS), seen) == [told]


def test_an_acknowledgement_that_nothing_needs_says_so_and_is_no_part_of_a_scan() -> None:
    seen = look({"games": {DAY: there()}, "summary": {DAY: there()}}, word())
    told = standing(declare(KINDS), seen, word())
    assert (told.state, told.note) == (AckState.ACTIVE, "nothing needs it: 1 of its targets are complete")
    assert in_look(declare(KINDS), seen) == []


def test_an_expired_one_is_shown_where_its_gap_asks_for_work_again() -> None:
    expired = word(expires=date(2024, 1, 19))
    seen = look({"games": {DAY: there()}, "summary": {DAY: LOST}}, expired)
    (told,) = in_look(declare(KINDS), seen)
    assert (told.state, told.targets, told.note) == (AckState.EXPIRED, 0, "expired on 2024-01-19")


def test_a_source_that_appears_after_all_is_said_to_have_reopened() -> None:
    given = word("odds", FIRST, date(2024, 1, 10), since=BEFORE)
    told = standing(declare(KINDS), look({"odds": {DAY: there()}}, given), given)
    assert (told.state, told.targets, told.reopened) == (AckState.REOPENED, 9, (DAY,))


def test_only_the_scope_of_a_look_counts() -> None:
    given = word("odds", FIRST, date(2024, 1, 10))
    seen = look({}, given, scope=Scope(DAY, date(2024, 1, 7)))
    assert standing(declare(KINDS), seen, given).targets == 3


def test_an_acknowledgement_of_a_processor_that_is_gone_does_not_stand_in_the_way() -> None:
    assert standing(declare(KINDS), look({}), word("of_old")).state is AckState.ACTIVE


# -- the file ----------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).map(lambda s: " ".join(s.split())).filter(bool)
WORDS = st.builds(
    lambda name, start, length, reason, owner, expires, since: Acknowledged(
        name, start, start + timedelta(days=length), reason, owner, expires, since
    ),
    st.sampled_from(sorted(NBA.processors)), st.dates(date(1950, 1, 1), date(2050, 1, 1)), st.integers(0, 400), TEXT,
    TEXT, st.none() | st.dates(date(1950, 1, 1)),
    st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)  # fmt: skip


@settings(max_examples=50)
@given(st.lists(WORDS, unique_by=by_range, max_size=4))
def test_a_file_brings_back_exactly_what_was_written_to_it(words: list[Acknowledged]) -> None:
    text = as_yaml(words)
    again = parse(text, NBA, "gaps.yaml")
    assert again == sorted(words, key=by_range)
    assert as_yaml(reversed(again)) == text


ENTRY = {
    "processor": "prop_lines", "start_date": "2021-10-19", "end_date": "2022-06-16", "reason": "never recorded",
    "owner": "data team",
}  # fmt: skip


def file(**changes: str | None) -> str:
    fields = {name: value for name, value in ({**ENTRY, **changes}).items() if value is not None}
    good = "\n  ".join(f"{name}: {value}" for name, value in ENTRY.items()).replace("2021-10-19", "2021-10-20")
    return f"acknowledged:\n- {good}\n- " + "\n  ".join(f"{name}: {value}" for name, value in fields.items()) + "\n"


def test_line_breaks_and_stray_spaces_become_single_spaces() -> None:
    text = file(reason='"one\\n\\n two\\Nthree "', owner='" ana\\tb"')
    assert parse(text, NBA, "gaps.yaml")[1][3:5] == ("one two three", "ana b")


def test_a_file_by_hand_may_use_short_names_and_leave_out_what_is_optional() -> None:
    (_, found) = parse(file(processor="mlfs", expires="2027-01-01"), NBA, "gaps.yaml")
    assert found == Acknowledged(
        "ml_feature_store_v2", date(2021, 10, 19), date(2022, 6, 16), "never recorded", "data team", date(2027, 1, 1)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (file(start_date="2021-13-01"), "entry 2 (prop_lines): start_date '2021-13-01' is not a date that exists"),
        (file(end_date="2021-10-18"), "entry 2 (prop_lines): start_date 2021-10-19 is after end_date 2021-10-18"),
        (file(end_date=None), "entry 2 (prop_lines): end_date is missing"),
        (file(owner=""), "entry 2 (prop_lines): owner is missing"),
        (file(owner="' '"), "entry 2 (prop_lines): owner is empty"),
        (file(reason="no"), "entry 2 (prop_lines): reason is False, which is no text; put it in quotes"),
        (file(reason="x" * (LONGEST + 1)), f"entry 2 (prop_lines): reason has {LONGEST + 1:,} characters"),
        (file(processor="odds"), "entry 2 (odds): processor: there is no processor 'odds'"),
        (file(processor=None), "entry 2: processor is missing"),
        (file(until="2027-01-01"), "entry 2 (prop_lines): there is no field 'until'; there are processor, "),
        (file(expires="soon"), "entry 2 (prop_lines): expires 'soon' is not a date that exists"),
        (file(acknowledged_at="noon"), "entry 2 (prop_lines): acknowledged_at 'noon' is not a time"),
        (file(start_date="2021-10-20"), "entry 2 (prop_lines): start_date and end_date are those of entry 1"),
        (file(start_date="1900-01-01", end_date="1900-01-02"), "entry 2 (prop_lines): end_date 1900-01-02 lies before"),
        ("acknowledged: [prop_lines]", "entry 1: fields are needed: processor, start_date"),
        ("acknowledged: [}", "line 1: not valid YAML"),
        ("- processor: prop_lines", "a list of entries under 'acknowledged', and nothing else, is needed"),
        ("", "a list of entries under 'acknowledged'"),
    ],
)
def test_a_malformed_entry_is_one_sentence_with_entry_and_field(text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text, NBA, "gaps.yaml")
    assert str(refused.value).startswith(f"gaps.yaml: {said}")
    assert "\n" not in str(refused.value)


def test_taking_a_file_again_is_no_difference_and_acknowledges_nothing_anew() -> None:
    held = [word(since=BEFORE), word("games", since=BEFORE), word("rolling", since=BEFORE)]
    wanted = [word(), word("games")._replace(owner="ben"), word("odds")]
    changes = compare(held, wanted)
    assert (changes.new, changes.changed, changes.same) == ([wanted[2]], [wanted[1]], [held[0]])
    assert changes.only_in_ledger == [held[2]]


def shipped() -> list[Acknowledged]:
    path = ROOT / "shared" / "gapless" / "nba" / "known_gaps.yaml"
    return parse(path.read_text(encoding="utf-8"), NBA, "known_gaps.yaml")


def test_the_shipped_example_is_what_the_validation_of_january_2026_lists() -> None:
    assert [(w.processor, w.first, w.last) for w in shipped()] == [
        ("ml_feature_store_v2", date(2021, 11, 5), date(2021, 11, 30)),
        ("prop_lines", date(2021, 10, 19), date(2022, 6, 16)),
        ("prop_lines", date(2022, 10, 18), date(2023, 4, 14)),
    ]


def played_days(pipeline: Pipeline, folder: Path) -> dict[int, list[tuple[date, bool]]]:
    """Per season's first year: the days with games, and whether they belong to the play-offs."""
    from gapless.files import read
    from gapless.files.kinds import declared_kinds

    found: dict[int, set[tuple[date, bool]]] = {}
    for raw in read(folder, pipeline, declared_kinds(pipeline), date(2026, 1, 1)).rows:
        if raw.processor == "schedule":
            for row in raw.rows.select(["season_year", "game_date", "is_playoffs"]).to_pylist():
                found.setdefault(row["season_year"], set()).add((row["game_date"], row["is_playoffs"]))
    return {season: sorted(days) for season, days in found.items()}


def test_its_dates_are_those_of_the_real_seasons(real_data: Path, tmp_path: Path) -> None:
    """25 game dates of November 2021; the whole season of 2021-22; 2022-23 up to the day before the play-offs."""
    (tmp_path / "schedule.parquet").symlink_to((real_data / "schedule.parquet").resolve())
    seasons = played_days(NBA, tmp_path)
    features, whole, early = shipped()
    assert len({day for day, _ in seasons[2021] if features.first <= day <= features.last}) == 25
    assert (whole.first, whole.last) == (seasons[2021][0][0], seasons[2021][-1][0])
    playoffs = min(day for day, is_playoff in seasons[2022] if is_playoff)
    assert (early.first, early.last) == (seasons[2022][0][0], playoffs - timedelta(days=1))
