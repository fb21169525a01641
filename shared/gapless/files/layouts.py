"""Layouts of files, and how a file's is found: by its columns, and never by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gapless.errors import RejectedFile
from gapless.files.problems import reject

_LIKELY = 0.6  # with this share of a layout's columns a file was meant to be one, and the rest is missing


class UnknownLayout(RejectedFile):
    """The columns are those of no file that can be loaded."""


@dataclass(frozen=True)
class Layout:
    """Which column holds which field. `a|b` stands for either column."""

    name: str
    needs: Mapping[str, str]
    may: Mapping[str, str] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()  # without any of these it is some other kind of file
    never: frozenset[str] = frozenset()  # with one of these it is some other kind of file

    def fits(self, columns: frozenset[str]) -> bool:
        return bool(self.marks & columns) and not self.never & columns

    def lacks(self, columns: frozenset[str]) -> list[str]:
        """The needed columns that are not there."""
        return [column for column in self.needs.values() if not columns & set(column.split("|"))]

    def share(self, columns: frozenset[str]) -> float:
        return 1 - len(self.lacks(columns)) / len(self.needs)


@dataclass(frozen=True)
class Lookalike:
    """A file that is taken for one that can be loaded: it has all the one columns and none of the others."""

    has: frozenset[str]
    has_none_of: frozenset[str]
    sentence: str  # goes on after the file's name

    def fits(self, columns: frozenset[str]) -> bool:
        return self.has <= columns and not self.has_none_of & columns


@dataclass(frozen=True)
class Match:
    """A file's layout, with the column of every field that the file has."""

    layout: Layout
    columns: Mapping[str, str]  # field -> column in lower case
    spelled: Mapping[str, str]  # column in lower case -> as the file spells it


def recognise(
    file: str, header: Sequence[str], layouts: Sequence[Layout], lookalikes: Sequence[Lookalike] = ()
) -> Match:
    """Find the layout of a header; raises `UnknownLayout`, or `RejectedFile` naming what a known one lacks."""
    lowered: dict[str, list[str]] = {}
    for column in header:
        lowered.setdefault(column.strip().lower(), []).append(column)
    layout = _layout(file, frozenset(lowered), layouts, lookalikes)
    chosen: dict[str, str] = {}
    for name, choice in {**layout.may, **layout.needs}.items():
        there = [column for column in choice.split("|") if column in lowered]
        if there:
            chosen[name] = there[0]
    for column in chosen.values():
        times = len(lowered[column])
        if times > 1:
            reject(file, f"has the column {column} {times} times; keep the right one")
    spelled = {column: lowered[column][0] for column in chosen.values()}
    return Match(layout, chosen, spelled)


def _layout(file: str, columns: frozenset[str], layouts: Sequence[Layout], lookalikes: Sequence[Lookalike]) -> Layout:
    fitting = [layout for layout in layouts if layout.fits(columns)]
    complete = [layout for layout in fitting if not layout.lacks(columns)]
    if complete:
        return max(complete, key=lambda layout: len(layout.needs))
    for lookalike in lookalikes:
        if lookalike.fits(columns):
            raise UnknownLayout(f"{file}: {lookalike.sentence}")
    if fitting:
        meant = _nearest(fitting, columns)
        if meant.share(columns) >= _LIKELY:
            plural = "s" if len(meant.lacks(columns)) > 1 else ""
            lacks = f"lacks the column{plural} {_listed(meant, columns)}"
            reject(file, f"looks like {meant.name} and {lacks}; add what is missing")
    nearest = _nearest(layouts, columns)
    raise UnknownLayout(
        f"{file}: has a layout that is not known; the nearest is {nearest.name}, "
        f"and for that it lacks {_listed(nearest, columns)}"
    )


def _nearest(layouts: Sequence[Layout], columns: frozenset[str]) -> Layout:
    return max(layouts, key=lambda layout: layout.share(columns))


def _listed(layout: Layout, columns: frozenset[str]) -> str:
    return ", ".join(column.replace("|", " or ") for column in layout.lacks(columns))
