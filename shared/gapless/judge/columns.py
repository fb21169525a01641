"""What a processor reads, as columns of dates: one entry per day, so that a window costs as much as a day. Pure.

Prefix XORs give the fingerprint of any window, prefix sums the number of gaps in it, and block maxima its newest row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, islice
from operator import xor

from gapless.declare.processor import Processor, Upstream
from gapless.model import IS_A_GAP, Seen, Target, Verdict

_NAMED = 10  # unfinished targets that are named of each upstream


class Judged:
    """A processor's finished column, as its downstream needs it."""

    __slots__ = ("column", "doubtful", "holes", "optional", "unsettled", "verdicts", "versions")

    def __init__(
        self,
        p: Processor,
        column: Sequence[Seen | None],
        verdicts: list[Verdict | None],
        unsettled: Mapping[int, Target],
        doubts: Sequence[int],
    ) -> None:
        self.unsettled = unsettled  # by day; values of their own are made once, for there can be a million
        self.column = column
        self.verdicts = verdicts
        self.optional = p.optional
        # prefix sums: [i] is about the days before i
        self.versions = list(accumulate([seen.version if seen else 0 for seen in column], xor, initial=0))
        self.holes = list(accumulate(map(IS_A_GAP.__contains__, verdicts), initial=0))
        # Being written, or not what its version says: when it is repaired, what was built on it would look up to date.
        self.doubtful: list[int] | None = None
        if doubts and p.row_hash == "stored":
            flags = [0] * len(column)
            for i in doubts:
                flags[i] = 1
            self.doubtful = list(accumulate(flags, initial=0))


class Edge:
    """One upstream of the processor that is judged."""

    __slots__ = (
        "back",
        "column",
        "doubtful",
        "edge",
        "holes",
        "name",
        "needed",
        "optional",
        "own_day",
        "today",
        "unsettled",
        "verdicts",
        "versions",
    )

    def __init__(self, name: str, edge: Upstream, judged: Judged, today: int) -> None:
        self.name = name
        self.edge = edge
        self.today = today
        self.back = edge.lookback_days
        self.own_day = {
            True: edge.reads_own_day(True),
            False: edge.reads_own_day(False),
        }  # by: the day lies in the past
        self.column = judged.column
        self.verdicts = judged.verdicts
        self.versions = judged.versions
        self.unsettled = judged.unsettled
        self.holes = judged.holes
        self.doubtful = judged.doubtful
        self.optional = judged.optional
        self.needed = range(0) if judged.optional or edge.fallback else self._own_days()

    def _own_days(self) -> range:
        """The days of which the upstream's own date is read."""
        days = range(len(self.column))
        split = max(self.today, 0)
        return {"always": days, "historical": days[:split], "upcoming": days[split:], "never": days[:0]}[
            self.edge.own_day
        ]

    def window(self, i: int) -> tuple[int, int]:
        """The days read for day i, as a half-open range of indexes."""
        return max(i - self.back, 0), i + self.own_day[i < self.today]

    def has_holes(self, i: int) -> bool:
        """Whether anything in the window of day i is a gap."""
        start, end = self.window(i)
        return self.holes[end] != self.holes[start]

    def is_doubtful(self, i: int) -> bool:
        """Whether anything in the window is being written, or is not what its version says."""
        if self.doubtful is None:
            return False
        start, end = self.window(i)
        return self.doubtful[end] != self.doubtful[start]

    def unfinished(self, i: int) -> Iterator[int]:
        """The gaps in the window, newest first."""
        start, end = self.window(i)
        return (j for j in range(end - 1, start - 1, -1) if self.holes[j + 1] != self.holes[j])

    def fingerprints(self) -> map[int]:
        """Per day, the fingerprint of the window."""
        length = len(self.column)
        starts = [0] * min(self.back, length) + self.versions[: max(length - self.back, 0)]
        return map(xor, starts, self._ends())

    def _ends(self) -> list[int]:
        """Per day, the fingerprint of everything up to the end of its window."""
        split = min(max(self.today, 0), len(self.column))
        with_own_day, without = self.versions[1:], self.versions[:-1]
        match self.edge.own_day:
            case "always":
                return with_own_day
            case "historical":
                return with_own_day[:split] + without[split:]
            case "upcoming":
                return without[:split] + with_own_day[split:]
            case _:
                return without


class Reading:
    """Everything that one processor reads."""

    def __init__(self, edges: Sequence[Edge], length: int) -> None:
        self.edges = edges
        self.length = length
        self._in_doubt = [e for e in edges if e.doubtful]
        # what is missing of an optional upstream, or of one that has a fallback, is done without
        self._firm = [e for e in edges if not e.optional and e.edge.version and not e.edge.fallback]

    def inputs(self) -> list[int]:
        """Per day, the fingerprint of everything that a run would read."""
        total = [0] * self.length
        for e in self.edges:
            if e.edge.version:
                total = list(map(xor, total, e.fingerprints()))
        return total

    def waits(self) -> dict[int, tuple[Target, ...]]:
        """Per day, what is read of the day itself and is not settled; days that wait for nothing are not there."""
        waits: dict[int, tuple[Target, ...]] = {}
        for e in self.edges:
            needed = e.needed
            for i, target in e.unsettled.items():
                if i in needed:
                    waits[i] = (*waits[i], target) if i in waits else (target,)
        return waits

    @cached_property
    def changed_at(self) -> list[int]:
        """Per day, when the newest thing that a run would read came into being (microseconds)."""
        latest = [0] * self.length
        for e in self.edges:
            if e.optional:
                continue
            changed = [seen.changed_at if seen else 0 for seen in e.column]
            if e.edge.own_day != "never":
                latest = list(map(max, latest, changed))
            if e.back:
                latest = list(map(max, latest, _window_max(changed, e.back)))
        return latest

    def waits_only_for_what_is_not_due(self, i: int) -> bool:
        """Whether all that a day waits for is itself not due."""
        waited_for = (e for e in self.edges if i in e.unsettled and i in e.needed)
        return all(e.verdicts[i] is Verdict.NOT_DUE for e in waited_for)

    def is_doubtful(self, i: int) -> bool:
        """Whether something that a run would read is being written, or is not what its version says."""
        return bool(self._in_doubt) and any(e.is_doubtful(i) for e in self._in_doubt)

    def has_holes(self, i: int) -> bool:
        """Whether something is a gap that a run would read and cannot do without."""
        for e in self._firm:  # noqa: SIM110 - asked of every gap, and a generator takes twice as long
            if e.has_holes(i):
                return True
        return False

    def unfinished(self, i: int) -> Iterator[tuple[str, int]]:
        """The gaps in the windows of a day, newest first, some of each upstream."""
        for e in self.edges:
            is_done_without = e.optional or (e.edge.fallback and not e.is_doubtful(i))
            if e.has_holes(i) and not is_done_without:
                yield from ((e.name, j) for j in islice(e.unfinished(i), _NAMED))


def _window_max(values: Sequence[int], back: int) -> list[int]:
    """Per position, the largest of the `back` values before it; 0 where there are none.

    A window spans the end of one block of `back` values and the beginning of the next, so that the largest so far from
    both ends of every block is enough.
    """
    ahead: list[int] = []  # the largest from a position to the end of its block
    behind: list[int] = []  # and from the beginning of its block to it
    for start in range(0, len(values), back):
        block = values[start : start + back]
        behind += accumulate(block, max)
        ahead += reversed([*accumulate(reversed(block), max)])
    return [0, *behind[:back], *map(max, ahead[1:], behind[back:])][: len(values)]
