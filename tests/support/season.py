"""A generated season that went through every phase: built once for all workers, and copied from then on."""

from __future__ import annotations

import fcntl
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from gapless.declare.settings import read_settings
from gapless.files import read
from gapless.files.kinds import declared_kinds
from gapless.local import warehouse as local
from gapless.model import Policy, Target
from gapless.nba.sample.model import SampleSeason
from gapless.nba.sample.season import write_season
from gapless.tasks.load import load
from gapless.wiring import connect, utcnow
from tests.support.bench import Bench, Part

SEASON = 2022


@dataclass
class Season(Bench):
    """A season that went through every phase."""

    season: SampleSeason
    pristine: Path
    built: dict[Target, Part]

    def restore(self) -> None:
        """Replace the warehouse by the one that was built first."""
        local.stop(self.home)
        shutil.copyfile(self.pristine / "bqemulator.duckdb", self.home / "bqemulator.duckdb")
        self.gapless = connect(read_settings({}, home=self.home))

    def changed(self) -> bool:
        """Whether anything is not as it was built: other rows, or the same rows of several runs."""
        parts = self._partitions(date.min, date.max)
        whole = all(one and "+" not in run for _, _, _, run, one in parts)
        return not whole or {target: Part(rows, version) for target, rows, version, _, _ in parts} != self.built

    def differences(self) -> list[Target]:
        """The partitions that are not what was built first."""
        now = self.versions()
        return sorted(t for t in now.keys() | self.built.keys() if now.get(t) != self.built.get(t))


def build_season(home: Path) -> None:
    """Write, load and build the season, and leave the stopped warehouse with its facts in a folder."""
    season = write_season(home / "files", season=SEASON)
    gapless = connect(read_settings({}, home=home))
    try:
        gapless.create()
        for raw in read(home / "files", gapless.pipeline, declared_kinds(gapless.pipeline), utcnow().date()).rows:
            load(gapless.warehouse, gapless.pipeline, raw, gapless.clock())
        engine = gapless.engine(Policy())
        report = engine.apply(engine.scan(gapless.everything()))
        assert not report.failed
        assert report.after is not None
        assert report.after.judgement.complete
        built = Bench(gapless, home).versions()
    finally:
        local.stop(home)
    facts = replace(season, players_on=dict(season.players_on))
    (home / "facts.pickle").write_bytes(pickle.dumps((facts, built)))


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """One process of several at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
