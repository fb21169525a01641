"""Data files into rows of the raw tables: read, judged completely, and either handed over or rejected.

Nothing is written here. A file is recognised by its columns; every cell is checked; rows are checked against their
game; files that are read together are checked against each other. Whatever is wrong is said at once, with file, row,
column and value. What is left out on purpose is counted in the notes: preseason and all-star games, markets other
than points, lines on games postponed that day or without player or line, games to come whose teams are not decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gapless.errors import RejectedFile
from gapless.files import boxscores, props, schedule, shots
from gapless.files.arrow import Array, Table, flat, pa, pc
from gapless.files.contract import Pipeline, Processor, conform
from gapless.files.layouts import Match, UnknownLayout, recognise
from gapless.files.opening import DATA_NAMES, Opened, open_file
from gapless.files.problems import refuse, reject
from gapless.files.sheet import Sheet

__all__ = ["Intake", "RawRows", "Skipped", "read"]


@dataclass(frozen=True)
class RawRows:
    """Checked rows of one raw table: exactly its declared columns, in their declared types."""

    processor: str
    rows: Table
    source: str
    dates: tuple[date, ...]


@dataclass(frozen=True)
class Skipped:
    """A file of a folder that was not read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Intake:
    """What a path holds: rows to load, files that were passed over, and notes on rows left out on purpose."""

    rows: tuple[RawRows, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


Parse = Callable[[Sheet, Processor, date], tuple[Table, list[str]]]
_PARSE: Mapping[str, Parse] = {
    "boxscores": boxscores.parse,
    "schedule": schedule.parse,
    "shots": shots.parse,
    "prop_lines": props.parse,
}


def read(path: Path, pipeline: Pipeline, today: date) -> Intake:
    """Read a parquet or CSV file, or every known one in a folder; raises `RejectedFile` with all that is wrong."""
    files, skipped = _find(path)
    sheets: list[Sheet] = []
    parsed: dict[str, list[Table]] = {}
    notes: list[str] = []
    rejected: list[str] = []
    for file in files:
        # One bad file does not hide another: all are judged before any is refused.
        try:
            opened, match = _recognised(file)
            sheet = _loaded(opened, match, len(sheets))
            name = match.layout.processor
            table, left_out = _PARSE[name](sheet, pipeline.processor(name), today)
            sheets.append(sheet)
            refuse([sheet.problems])
        except UnknownLayout as error:
            if file == path:
                raise
            skipped.append(Skipped(file.name, str(error).removeprefix(f"{file.name}: ")))
            continue
        except RejectedFile as error:
            rejected.append(str(error))
            continue
        parsed.setdefault(name, []).append(table)
        notes += left_out
    if rejected:
        raise RejectedFile("\n".join(rejected))
    rows, more = _settled(parsed, sheets, pipeline)
    notes += more
    if not rows:
        passed = [f"{each.file}: {each.reason}" for each in skipped]
        reject(path.name, "; ".join(["holds nothing to load", *notes, *passed]))
    return Intake(rows, tuple(skipped), tuple(notes))


def _find(path: Path) -> tuple[list[Path], list[Skipped]]:
    """The data files at a path in the order of their names, and what else is there."""
    if not path.exists():
        reject(str(path), "does not exist; give a parquet or CSV file, or a folder of them")
    if not path.is_dir():
        return [path], []
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        reject(str(path), f"cannot be listed ({error.strerror or error}); check its permissions")
    files, skipped = [], []
    for entry in entries:
        if entry.is_dir():
            skipped.append(Skipped(entry.name, "is a folder; load it by itself"))
        elif not entry.name.lower().endswith(DATA_NAMES):
            skipped.append(Skipped(entry.name, f"its name does not end in {', '.join(DATA_NAMES)}"))
        else:
            files.append(entry)
    return files, skipped


def _recognised(path: Path) -> tuple[Opened, Match]:
    opened = open_file(path)
    return opened, recognise(opened.name, opened.columns)


def _loaded(opened: Opened, match: Match, number: int) -> Sheet:
    raw = opened.load(sorted(match.spelled.values()))
    if not raw.num_rows:
        reject(opened.name, "has a header and no rows; download or export it again")
    return Sheet.of(number, opened.name, match, raw)


def _settled(
    parsed: Mapping[str, Sequence[Table]], sheets: Sequence[Sheet], pipeline: Pipeline
) -> tuple[tuple[RawRows, ...], list[str]]:
    """The files of each kind as one, checked against each other."""
    notes: list[str] = []
    tables = {name: pa.concat_tables(parts) for name, parts in parsed.items()}
    tables = {name: table for name, table in tables.items() if table.num_rows}
    if "boxscores" in tables:
        tables["boxscores"] = boxscores.settle(tables["boxscores"], sheets)
    if "schedule" in tables:
        tables["schedule"] = schedule.settle(tables["schedule"], sheets)
    if "shots" in tables:
        tables["shots"] = shots.settle(tables["shots"], sheets)
    if "prop_lines" in tables:
        tables["prop_lines"], notes = props.settle(tables["prop_lines"])
    refuse(sheet.problems for sheet in sheets)

    def source(*processors: str) -> str:
        return ", ".join(sheet.file for sheet in sheets if sheet.match.layout.processor in processors)

    def finished(name: str, origin: str, parts: Iterable[Mapping[str, Array]]) -> RawRows:
        declared = pipeline.processor(name)
        columns = [pa.table(dict(part)) for part in parts]
        merged = pa.concat_tables(columns, promote_options="default")
        rows = conform(name, declared, {column: flat(merged[column]) for column in merged.column_names}, origin)
        dates = pc.unique(rows[declared.date_column]).to_pylist()
        return RawRows(name, rows, origin, tuple(sorted(dates)))

    games = [boxscores.as_schedule(tables["boxscores"])] if "boxscores" in tables else []
    games += [schedule.as_schedule(tables["schedule"])] if "schedule" in tables else []
    results = [finished("schedule", source("schedule", "boxscores"), games)] if games else []
    if "boxscores" in tables:
        results.append(finished("boxscores", source("boxscores"), [boxscores.as_boxscores(tables["boxscores"])]))
    if "shots" in tables:
        results.append(finished("shots", source("shots"), [shots.as_shots(tables["shots"])]))
    if "prop_lines" in tables:
        results.append(finished("prop_lines", source("prop_lines"), [props.as_prop_lines(tables["prop_lines"])]))
    return tuple(results), notes
