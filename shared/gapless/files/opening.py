"""One file on disk as columns, or a sentence on why it cannot be read.

What a file is, its first bytes say: names lie more often. Text cells of a CSV stay text, so that a message can show
what the file holds.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from gapless.files.arrow import Table, arrow_csv, arrow_parquet, pa
from gapless.files.problems import Problems, refuse, reject

DATA_NAMES = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
_AGAIN = "download or export it again"


@dataclass(frozen=True)
class Opened:
    """A file whose columns are known and whose rows are still to be read."""

    name: str
    columns: tuple[str, ...]  # as the file spells them
    load: Callable[[Sequence[str]], Table]


def open_file(path: Path) -> Opened:
    """Open a parquet or CSV file; raises `RejectedFile` if it is neither, empty or damaged."""
    try:
        if not path.is_file():
            reject(path.name, "is not a file; give a parquet or CSV file, or a folder of them")
        with path.open("rb") as stream:
            head = stream.read(4)
        if not head:
            reject(path.name, f"is empty (0 bytes); {_AGAIN}")
        if head == b"PAR1":
            return _parquet(path)
        if path.name.lower().endswith((".parquet", ".pq")):
            reject(path.name, f"is not a parquet file, though its name says so; {_AGAIN}")
        if head == b"PK\x03\x04":
            reject(path.name, "is a zip or Excel file; unpack it, or save the sheet as CSV in UTF-8")
        return _csv(path.name, _unpacked(path) if head[:2] == b"\x1f\x8b" else path.read_bytes())
    except OSError as error:
        reject(path.name, f"cannot be read ({error.strerror or error}); check the file and its permissions")


def _parquet(path: Path) -> Opened:
    try:
        schema = arrow_parquet.read_schema(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        _damaged(path.name, error)

    def load(columns: Sequence[str]) -> Table:
        try:
            table = arrow_parquet.ParquetFile(path).read(columns=list(columns))
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            _damaged(path.name, error)
        return table

    return Opened(path.name, tuple(schema.names), load)


def _damaged(name: str, error: Exception) -> NoReturn:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    reject(name, f"is a truncated or damaged parquet file ({first[:160]}); {_AGAIN}")


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return stream.read()
    except (OSError, EOFError, zlib.error) as error:
        reject(path.name, f"is a truncated or damaged gzip file ({error}); {_AGAIN}")


def _csv(name: str, content: bytes) -> Opened:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        reject(name, "is encoded in UTF-16; save it as CSV in UTF-8")
    if not content.strip(b"\xef\xbb\xbf \t\r\n"):
        reject(name, "is empty (no header and no rows); download or export it again")
    if b"\x00" in content:
        reject(name, "holds zero bytes and is no text; give a parquet file or a CSV in UTF-8")
    _check_encoding(name, content)
    content = content.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    header_line = re.split(r"\r|\n", content[:1_000_000].decode("utf-8", errors="ignore"), maxsplit=1)[0]
    separator = max(",;\t|", key=header_line.count)
    header = tuple(cell.strip() for cell in next(csv.reader([header_line], delimiter=separator)))
    return Opened(name, header, lambda columns: _csv_rows(name, content, separator, header, columns))


def _check_encoding(name: str, content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        around = content[max(0, error.start - 12) : error.start + 8].decode("latin-1").strip()
        where = f"row {line - 1}" if line > 1 else "the header"
        reject(name, f"{where} is not encoded in UTF-8 (near {around!r}); save the file as CSV in UTF-8")


def _csv_rows(name: str, content: bytes, separator: str, header: tuple[str, ...], columns: Sequence[str]) -> Table:
    problems = Problems(name)

    def ragged(row: Any) -> str:
        number = None if row.number is None else row.number - 1  # the header is the first line that arrow counts
        problems.say(
            number,
            f"{name}, row {number}: has {row.actual_columns} cells where the header has {row.expected_columns}; "
            "look for a cut line, a missing cell or an unquoted comma",
        )
        return "skip"

    # Positions instead of names: a header may name two columns alike, or have spaces around a name.
    positions = [f"f{number}" for number in range(len(header))]
    wanted = [positions[header.index(column)] for column in columns]
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(content),
            # One thread, because only then arrow knows the number of a ragged row.
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=positions, block_size=1 << 24),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=ragged
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(positions, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, ValueError) as error:
        reject(name, f"is not a readable CSV ({str(error).splitlines()[0][:160]}); {_AGAIN}")
    refuse([problems])
    return table.slice(1).rename_columns(list(columns))
