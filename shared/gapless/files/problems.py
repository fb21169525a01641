"""What is wrong with a file, said once per cell, and the refusal that lists it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from gapless.errors import RejectedFile

SHOWN = 10  # a person corrects a handful and looks again; the number tells whether the whole file is of that kind


@dataclass
class Problems:
    """The problems of one file: all counted, the first few spelled out."""

    file: str
    total: int = 0
    told: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int | None, column: str | None, value: Any, sentence: str) -> None:
        """One problem, at a data row counted from 1; `sentence` goes on after the value."""
        where = [self.file]
        where += [f"row {row}"] if row is not None else []
        where += [f"column {column}"] if column is not None else []
        self.say(row, f"{', '.join(where)}: {show(value)} {sentence}")

    def say(self, row: int | None, text: str) -> None:
        """One problem in words of its own."""
        self.total += 1
        if len(self.told) < 20 * SHOWN:
            self.told.append((row or 0, text))

    def more(self, count: int) -> None:
        """Problems that are counted and not spelled out."""
        self.total += count

    def lines(self) -> list[str]:
        """The first problems in the order of the rows, and how many more there are."""
        lines = [text for _, text in sorted(self.told, key=lambda problem: problem[0])[:SHOWN]]
        rest = self.total - len(lines)
        return lines + (
            [f"{self.file}: and {rest:,} more problem{'s' if rest > 1 else ''} of this file"] if rest else []
        )


def show(value: Any) -> str:
    """A value as a message prints it: short, and text in quotes."""
    if value is None:
        return "no value"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(problems: Iterable[Problems]) -> None:
    """Raise `RejectedFile` if any of the files has a problem."""
    wrong = [each for each in problems if each.total]
    if wrong:
        raise RejectedFile("\n".join(line for each in wrong for line in each.lines()))


def reject(file: str, sentence: str) -> NoReturn:
    """Raise `RejectedFile` for a file as a whole."""
    raise RejectedFile(f"{file}: {sentence}")
