"""Data files into rows of the raw tables: read, judged completely, and either handed over or rejected.

Nothing is written here. A file is recognised by its columns; every cell is checked; files that are read together are
checked against each other. Whatever is wrong is said at once, with file, row, column and value. What is left out on
purpose is counted in the notes. Which files there are, and what makes their rows right, the pipeline's kinds know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

from gapless.errors import RejectedFile
from gapless.files.arrow import Table, flat, pa, pc
from gapless.files.contract import Pipeline, conform
from gapless.files.kinds import Kind, Notes
from gapless.files.layouts import UnknownLayout, recognise
from gapless.files.opening import DATA_NAMES, open_file
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


class _Part(NamedTuple):
    """One file as its kind has read it."""

    kind: Kind
    sheet: Sheet
    table: Table


class _Settled(NamedTuple):
    """All files of one kind as one."""

    kind: Kind
    table: Table


def read(path: Path, pipeline: Pipeline, kinds: Sequence[Kind], today: date) -> Intake:
    """Read a parquet or CSV file, or every known one in a folder; raises `RejectedFile` with all that is wrong."""
    files, skipped = _find(path)
    parts: list[_Part] = []
    notes: Notes = []
    rejected: list[str] = []
    for file in files:
        # One bad file does not hide another: all are judged before any is refused.
        try:
            part, left_out = _read_file(file, len(parts), pipeline, kinds, today)
        except UnknownLayout as error:
            if file == path:
                raise
            skipped.append(Skipped(file.name, str(error).removeprefix(f"{file.name}: ")))
        except RejectedFile as error:
            rejected.append(str(error))
        else:
            parts.append(part)
            notes += left_out
    if rejected:
        raise RejectedFile("\n".join(rejected))
    settled, replaced = _settle(parts, kinds)
    notes += replaced
    if not settled:
        passed = [f"{each.file}: {each.reason}" for each in skipped]
        reject(path.name, "; ".join(["holds nothing to load", *notes, *passed]))
    rows = _raw_rows(settled, parts, pipeline)
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


def _read_file(file: Path, number: int, pipeline: Pipeline, kinds: Sequence[Kind], today: date) -> tuple[_Part, Notes]:
    """One file, recognised and checked cell by cell; raises `RejectedFile` with its problems."""
    opened = open_file(file)
    layouts = [layout for kind in kinds for layout in kind.layouts]
    lookalikes = [lookalike for kind in kinds for lookalike in kind.lookalikes]
    match = recognise(opened.name, opened.columns, layouts, lookalikes)
    raw = opened.load(sorted(match.spelled.values()))
    if not raw.num_rows:
        reject(opened.name, "has a header and no rows; download or export it again")
    sheet = Sheet.of(number, opened.name, match, raw)
    kind = next(kind for kind in kinds if match.layout in kind.layouts)
    table, notes = kind.parse(sheet, pipeline.processor(kind.processor), today)
    refuse([sheet.problems])
    return _Part(kind, sheet, table), notes


def _settle(parts: Sequence[_Part], kinds: Sequence[Kind]) -> tuple[list[_Settled], Notes]:
    """The files of each kind as one, checked against each other; raises `RejectedFile` with what contradicts."""
    sheets = [part.sheet for part in parts]
    settled: list[_Settled] = []
    notes: Notes = []
    for kind in kinds:
        tables = [part.table for part in parts if part.kind is kind]
        if not any(table.num_rows for table in tables):
            continue
        table, replaced = kind.settle(pa.concat_tables(tables), sheets)
        settled.append(_Settled(kind, table))
        notes += replaced
    refuse(sheet.problems for sheet in sheets)
    return settled, notes


def _raw_rows(settled: Sequence[_Settled], parts: Sequence[_Part], pipeline: Pipeline) -> tuple[RawRows, ...]:
    """The rows of every raw table that the files fill; several kinds may fill the same."""
    made: dict[str, list[Table]] = {}
    for kind, table in settled:
        for name, rows in kind.rows.items():
            made.setdefault(name, []).append(pa.table(dict(rows(table))))
    return tuple(_conformed(name, tables, parts, pipeline) for name, tables in made.items())


def _conformed(name: str, tables: Sequence[Table], parts: Sequence[_Part], pipeline: Pipeline) -> RawRows:
    declared = pipeline.processor(name)
    source = ", ".join(part.sheet.file for part in parts if name in part.kind.rows)
    merged = pa.concat_tables(tables, promote_options="default")
    columns = {column: flat(merged[column]) for column in merged.column_names}
    rows = conform(name, declared, columns, source)
    dates = pc.unique(rows[declared.date_column]).to_pylist()
    return RawRows(name, rows, source, tuple(sorted(dates)))
