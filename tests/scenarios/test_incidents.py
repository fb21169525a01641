"""The documented incidents of the production pipeline: damage, right verdict with the right numbers, repair, quiet.

Each test does what the fault did to a season that was complete, and checks that a scan names the root, that an apply
brings back exactly what was there before, and that the next scan has nothing to say.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

from gapless.cli.present import fix
from gapless.declare.settings import read_settings
from gapless.engine import ApplyReport, Look
from gapless.files import RawRows, read
from gapless.files.kinds import declared_kinds
from gapless.local import warehouse as local
from gapless.model import Gap, Status, Target, Verdict
from gapless.nba.sample.incidents import by_name
from gapless.nba.sample.known import read_season
from gapless.questions.explain import explain
from gapless.tasks.load import load
from gapless.wiring import connect, utcnow
from tests.conftest import Bench, Season

PCF, PDC, MLFS = "player_composite_factors", "player_daily_cache", "ml_feature_store_v2"
PRED, GRADING, TDZA = "player_prop_predictions", "prediction_accuracy", "team_defense_zone_analysis"
DERIVED_PHASES = (3, 4, 5, 6)


def damage(bench: Season, *names: str) -> set[Target]:
    """Stage incidents, and return the targets that they damaged."""
    hurt: set[Target] = set()
    for name in names:
        incident = by_name(name)
        hurt.update(incident.targets(bench.season, bench.pipeline))
        incident.apply(bench.gapless.warehouse, bench.season, bench.pipeline)
    return hurt


def gaps(look: Look) -> dict[Target, Gap]:
    return {gap.target: gap for gap in look.judgement.gaps}


def roots(look: Look) -> dict[Target, Gap]:
    """The gaps that do not wait for others."""
    return {target: gap for target, gap in gaps(look).items() if gap.verdict is not Verdict.BLOCKED}


def assert_healed(bench: Season, report: ApplyReport) -> None:
    """Everything landed, is what it was before, and the look afterwards asks for nothing."""
    assert not report.failed
    assert not report.waiting
    assert report.after is not None
    assert report.after.judgement.complete
    assert report.after.plan.size == 0
    assert bench.differences() == []


def order_of_work(bench: Bench, report: ApplyReport, day: date) -> list[str]:
    """The processors of a date in the order in which a run worked on them."""
    rows = bench.rows(
        "SELECT processor_name FROM `nba_orchestration.backfill_date_outcomes` "
        "WHERE backfill_run_id = @run AND analysis_date = @day ORDER BY claim_number",
        run=report.run_id,
        day=day,
    )
    return [name for (name,) in rows]


def test_a_backfill_that_stopped_after_one_player_is_found_with_its_numbers_and_repaired(built_season: Season) -> None:
    """6 January 2026: 1 of 187 and 68 of 175 players, reported as success, unnoticed for six days."""
    first, second = built_season.season.days.after_break
    hurt = damage(built_season, "partial_backfill")
    look = built_season.scan(first, second)
    found = gaps(look)
    assert set(found) >= hurt
    seen = {day: found[Target(PCF, day)].seen for day in (first, second)}
    assert {day: (s.covered, s.expected) for day, s in seen.items()} == {first: (1, 187), second: (68, 175)}
    assert {target: gap.verdict for target, gap in roots(look).items() if target.processor == PCF} == {
        Target(PCF, first): Verdict.PARTIAL,
        Target(PCF, second): Verdict.PARTIAL,
    }
    assert round(found[Target(PCF, first)].seen.coverage_pct, 1) == 0.5
    evidence = explain(built_season.pipeline, look, Target(MLFS, first))
    assert {root.target for root in evidence.roots()} == {Target(PCF, first)}
    assert fix(built_season.pipeline, found[Target(PCF, first)]) == (
        f"gapless apply --start-date {first} --end-date {first}"
    )
    report = built_season.apply(first, second)
    assert order_of_work(built_season, report, first) == [PCF, PDC, MLFS, PRED, GRADING]
    assert_healed(built_season, report)


def test_old_rows_in_the_upcoming_table_are_never_read_for_a_past_date(built_season: Season) -> None:
    """1 and 68 stale rows made the old pipeline skip its fallback; here a past date does not look there at all."""
    first, second = built_season.season.days.after_break
    stale = damage(built_season, "stale_upcoming")
    assert {built_season.count(target) for target in stale} == {1, 68}
    report = built_season.apply(first, second, PCF, force=True)
    assert {o.target for o in report.outcomes} == {Target(PCF, first), Target(PCF, second)}
    assert report.after is not None
    assert report.after.judgement.complete
    assert set(built_season.differences()) == stale  # the stale rows and nothing else
    sources = f"SELECT DISTINCT data_source FROM `nba_precompute.{PCF}` WHERE game_date BETWEEN @first AND @last"
    assert built_season.rows(sources, first=first, last=second) == [("PGS_SYNTHETIC",)]
    for target in stale:
        assert report.after.judgement.verdict(target) is None
        built_season.delete(target)
    assert built_season.differences() == []


def test_missing_team_defence_is_the_root_of_features_built_on_zeros_and_is_repaired_first(
    built_season: Season,
) -> None:
    """4 December 2021: 0 of 30 teams, 131 players with an opponent strength of 0, 131 feature rows built on them."""
    damage(built_season, "missing_team_defense")
    day = built_season.season.nearest_game_date(built_season.season.days.in_season(12, 4))
    players = built_season.season.players_on[day]
    look = built_season.scan(day, day)
    found = gaps(look)
    assert (found[Target(TDZA, day)].verdict, found[Target(TDZA, day)].seen.covered) == (Verdict.MISSING, 0)
    assert found[Target(TDZA, day)].seen.expected == 30
    for name in (PCF, MLFS):
        gap = found[Target(name, day)]
        assert gap.verdict is Verdict.BLOCKED
        assert gap.seen.suspect == players == built_season.count(Target(name, day), "opponent_strength_score = 0")
    evidence = explain(built_season.pipeline, look, Target(GRADING, day))
    assert {root.target for root in evidence.roots()} == {Target(TDZA, day)}

    # with its upstream back, what was built on zeros is contaminated by its own evidence
    built_season.apply(day, day, TDZA)
    alone = gaps(built_season.scan(day, day))[Target(PCF, day)]
    assert (alone.verdict, alone.seen.suspect, alone.seen.coverage_pct) == (Verdict.CONTAMINATED, players, 100)

    assert_healed(built_season, built_season.apply(day, day))
    assert built_season.count(Target(MLFS, day), "opponent_strength_score = 0") == 0


def test_rows_for_postponed_games_are_proposed_for_cleaning_up_and_never_deleted_unasked(built_season: Season) -> None:
    """16 to 30 December 2021: the feature store kept rows for games that were never played."""
    season, pipeline = built_season.season, built_season.pipeline
    first, last = season.days.in_season(12, 10), season.days.in_season(12, 31)
    hurt = damage(built_season, "postponed_games")
    look = built_season.scan(first, last)
    phantoms = {gap.target: gap for gap in look.judgement.phantoms}
    assert set(phantoms) == hurt
    assert look.judgement.complete
    assert look.plan.size == 0
    for target, gap in phantoms.items():
        whole_slate = target.day in season.days.postponed_slates
        assert (gap.seen.expected == 0) == whole_slate
        assert gap.seen.extra > 0
        assert gap.seen.covered == gap.seen.expected == season.players_on.get(target.day, 0)
    for (name, day), gap in phantoms.items():
        short = pipeline.processor(name).alias
        command = f"gapless clean-phantoms --start-date {day} --end-date {day} --processors {short}"
        assert fix(pipeline, gap).endswith(f": {command}")
    # A person may force a run instead: upstream first, what reads a date that was made anew follows by itself.
    slate = min(day for _, day in phantoms)
    while left := [gap.target for gap in look.judgement.phantoms if gap.target.day == slate]:
        report = built_season.apply(slate, slate, left[0].processor, force=True)
        assert {o.target: o.status for o in report.outcomes} == {left[0]: Status.COMPLETE}
        built_season.apply(slate, last)
        look = built_season.scan(first, last)
    others = {target for target in hurt if target.day != slate}
    assert {gap.target for gap in look.judgement.phantoms} == others
    assert set(built_season.differences()) == others


def test_dates_that_a_backfill_never_reached_are_true_gaps(built_season: Season) -> None:
    """23 and 31 December 2021: games were played, ml_feature_store_v2 has 0 rows."""
    season = built_season.season
    hurt = damage(built_season, "feature_store_never_ran")
    days = sorted({target.day for target in hurt})
    look = built_season.scan(days[0], days[-1])
    assert set(gaps(look)) == hurt | {Target("export", day) for day in days}
    assert {target: (gap.verdict, gap.seen.expected, gap.seen.rows) for target, gap in roots(look).items()} == {
        Target(MLFS, day): (Verdict.MISSING, season.players_on[day], 0) for day in days
    }
    report = built_season.apply(days[0], days[-1])
    assert {o.target for o in report.outcomes} >= hurt
    assert_healed(built_season, report)


def test_playoffs_that_never_left_phase_2_flow_through_every_phase(built_season: Season) -> None:
    """2021-22 to 2023-24: box scores of about 430 playoff games, and nothing in phases 3 to 6."""
    season = built_season.season
    hurt = damage(built_season, "playoffs_never_ran")
    look = built_season.scan()
    found = gaps(look)
    assert set(found) == hurt
    assert {target.processor for target in roots(look)} == {
        "player_game_summary",
        "team_defense_game_summary",
        "team_offense_game_summary",
        "team_defense_zone_analysis",
        "player_shot_zone_analysis",
    } & {target.processor for target in roots(look)}
    summaries = {t.day: g for t, g in found.items() if t.processor == "player_game_summary"}
    assert {day: gap.seen.expected for day, gap in summaries.items()} == {
        day: season.players_on[day] for day in season.playoff_dates
    }
    assert {gap.verdict for gap in summaries.values()} == {Verdict.MISSING}
    phases = Counter(built_season.pipeline.processors[t.processor].phase for t in found)
    assert set(phases) == set(DERIVED_PHASES)
    report = built_season.engine().apply(look)
    assert {o.target for o in report.outcomes} == hurt
    assert_healed(built_season, report)


def test_grades_of_a_whole_season_come_back(built_season: Season) -> None:
    """2024-25: one graded prediction instead of about 100,000."""
    graded = sorted(t for t in built_season.built if t.processor == GRADING)
    (keep,) = built_season.rows("SELECT MIN(player_lookup) FROM `nba_predictions.prediction_accuracy`")
    built_season.run("DELETE FROM `nba_predictions.prediction_accuracy` WHERE player_lookup != @keep", keep=keep[0])
    look = built_season.scan()
    assert set(roots(look)) == set(graded)
    assert {gap.verdict for gap in roots(look).values()} <= {Verdict.MISSING, Verdict.PARTIAL}
    assert {t.processor for t in gaps(look)} == {GRADING, "export"}
    assert_healed(built_season, built_season.engine().apply(look))


def test_a_tracker_that_says_0_while_the_rows_are_there_is_a_tracking_fault_and_no_gap(built_season: Season) -> None:
    """14 January 2026: 2,344 zero-record runs reported, most of them with all their rows in the table."""
    assert damage(built_season, "tracking_fault") == set()
    reported = built_season.rows(
        "SELECT processor_name, data_date, records_processed FROM `nba_reference.processor_run_history` "
        "WHERE run_id LIKE 'tracker-%' AND status = 'success'"
    )
    assert len(reported) >= 9
    assert {records for _, _, records in reported} == {0}
    days = sorted({day for _, day, _ in reported})
    look = built_season.scan(days[0], days[-1])
    assert look.judgement.complete
    assert look.plan.size == 0
    for name, day, _ in reported:
        seen = look.observation.seen(Target(name, day))
        assert seen is not None
        assert seen.rows == seen.covered == built_season.season.players_on[day]


def test_a_gap_that_was_declared_unrecoverable_is_left_alone_until_its_source_comes_back(built_season: Season) -> None:
    """MLFS of November 2021: acknowledged, shown, never retried; it reopens when what it is made from is rewritten."""
    first = built_season.season.days.in_season(11, 14)
    last = first + timedelta(days=2)
    book = built_season.book()
    lost = (MLFS, PRED, GRADING)
    for name in lost:
        book.acknowledge(name, first, last, "calculation errors, not worth a repair", "data team", None)
        for i in range(3):
            built_season.delete(Target(name, first + timedelta(days=i)))
    look = built_season.scan(first, last)
    assert look.judgement.verdict(Target(MLFS, first)) is Verdict.ACKNOWLEDGED
    assert not [target for target in gaps(look) if target.processor in lost]
    assert not [action for action in look.plan.actions if action.processor in lost]

    built_season.apply(first, last, PCF, force=True)
    reopened = built_season.scan(first, last)
    assert reopened.judgement.verdict(Target(MLFS, first)) is Verdict.MISSING
    built_season.run("DELETE FROM `nba_orchestration.acknowledged_gaps` WHERE TRUE")
    assert_healed(built_season, built_season.apply(first, last))


def test_a_season_without_recorded_odds_is_complete(built_season: Season) -> None:
    """Odds of 2021-22 and early 2022-23 were never recorded: predictions say NO_LINE, and nothing asks for lines."""
    day = built_season.season.nearest_game_date(built_season.season.days.in_season(12, 10))
    assert built_season.count(Target("prop_lines", day)) == 0
    lines = built_season.rows(
        "SELECT DISTINCT recommendation FROM `nba_predictions.player_prop_predictions` WHERE game_date = @day", day=day
    )
    assert lines == [("NO_LINE",)]
    assert built_season.scan(day, day).judgement.complete


def test_all_incidents_at_once_are_repaired_in_one_apply(built_season: Season) -> None:
    names = (
        "partial_backfill",
        "missing_team_defense",
        "postponed_games",
        "feature_store_never_ran",
        "tracking_fault",
    )
    hurt = damage(built_season, *names)
    look = built_season.scan()
    noticed = set(gaps(look)) | {gap.target for gap in look.judgement.phantoms}
    assert hurt <= noticed
    report = built_season.engine().apply(look)
    assert not report.failed
    # in the order of what reads what, in one run
    day = built_season.season.nearest_game_date(built_season.season.days.in_season(12, 4))
    assert order_of_work(built_season, report, day)[:4] == [TDZA, PCF, PDC, MLFS]
    assert report.after is not None
    assert report.after.judgement.complete
    assert report.after.plan.size == 0
    phantoms = {gap.target for gap in report.after.judgement.phantoms}
    assert phantoms == set(by_name("postponed_games").targets(built_season.season, built_season.pipeline))
    assert set(built_season.differences()) == phantoms


# ------------------------------------------------------------------------------------------------ real results


def between(files: Iterable[RawRows], first: date, last: date) -> Iterable[RawRows]:
    import pyarrow as pa
    import pyarrow.compute as pc

    for raw in files:
        days = raw.rows.column("game_date")
        rows = raw.rows.filter(pc.and_(pc.greater_equal(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last))))
        if rows.num_rows:
            yield RawRows(raw.processor, rows, raw.source, tuple(sorted(set(rows.column("game_date").to_pylist()))))


def test_the_partial_backfill_on_the_real_results_of_its_dates(real_data: Path, tmp_path: Path) -> None:
    """The very dates: 187 players appeared on 2023-02-23 and 175 on 2023-02-24."""
    first, second = date(2023, 2, 23), date(2023, 2, 24)
    home = tmp_path / "real"
    bench = Bench(connect(read_settings({}, home=home)), home)
    try:
        bench.gapless.create()
        with tempfile.TemporaryDirectory() as folder:
            for name in ("player_box_2022-23.parquet", "schedule.parquet"):
                (Path(folder) / name).symlink_to((real_data / name).resolve())
            files = read(Path(folder), bench.pipeline, declared_kinds(bench.pipeline), date(2025, 12, 1)).rows
        for raw in between(files, date(2022, 12, 28), second):
            load(bench.gapless.warehouse, bench.pipeline, raw, utcnow())
        chain = ("PGS", "TDGS", "TOGS", "TDZA", "PSZA", "PCF")
        report = bench.apply(None, None, *chain)
        assert not report.failed
        built = bench.versions()
        assert built[Target(PCF, first)].rows == 187
        assert built[Target(PCF, second)].rows == 175

        season = read_season(bench.gapless.warehouse, bench.pipeline, 2022)
        by_name("partial_backfill").apply(bench.gapless.warehouse, season, bench.pipeline)
        seen = {t.day: g.seen for t, g in gaps(bench.scan(first, second, *chain)).items() if t.processor == PCF}
        assert {day: (s.covered, s.expected) for day, s in seen.items()} == {first: (1, 187), second: (68, 175)}
        healed = bench.apply(first, second, *chain)
        assert not healed.failed
        assert bench.versions() == built
        assert healed.after is not None
        assert healed.after.plan.size == 0
    finally:
        local.stop(home)
