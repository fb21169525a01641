"""What the ordinary look already tells: coverage, damaged rows, cascades, consistency between processors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from functools import cached_property
from itertools import accumulate

from gapless.declare.pipeline import Rule
from gapless.declare.processor import Processor
from gapless.judge.remedies import Remedy, made, remake, remedy_for
from gapless.judge.verdicts import NOTHING
from gapless.model import IS_A_GAP, Seen, Target, Verdict
from gapless.questions.classify import EXPECTED, Category, Classifier
from gapless.questions.validation.report import Check, Fault, Severity
from gapless.verdict import Repair


class Tables:
    """A look, asked for faults. Which of its targets are asked about is the caller's to say."""

    def __init__(self, classifier: Classifier, wanted: Callable[[Target], bool]) -> None:
        self.classifier = classifier
        self.pipeline = classifier.pipeline
        self.look = classifier.look
        self.wanted = wanted
        self.gaps = {gap.target: gap for gap in self.look.judgement.gaps}
        self._holes = {
            name: list(accumulate(map(IS_A_GAP.__contains__, column), initial=0))
            for name, column in self.look.judgement.verdicts.items()
        }

    @cached_property
    def targets(self) -> Sequence[tuple[Target, Verdict, Seen]]:
        """Every target that was asked about, with what was seen of it; off days are left out."""
        first = self.look.judgement.first
        found = []
        for name, column in self.look.judgement.verdicts.items():
            rows = self.look.observation.columns[name]
            for i, verdict in enumerate(column):
                if verdict is None or verdict is Verdict.OFF_DAY:
                    continue
                target = Target(name, first + timedelta(days=i))
                if self.wanted(target):
                    found.append((target, verdict, rows[i] or NOTHING))
        return found

    # -- coverage -------------------------------------------------------------------------------------------------

    def coverage(self) -> Iterator[Fault]:
        """Keys that should be there and are not, rows that should not be there, and absences that nobody misses."""
        for target, verdict, seen in self.targets:
            p = self.pipeline.processors[target.processor]
            if verdict is Verdict.COMPLETE:
                if p.is_thin(seen.covered, seen.expected):
                    yield self.fault(
                        Check.COVERAGE, "below the warning threshold", target, seen.expected, seen.covered,
                        f"{_share(seen)}: below {p.warn_pct:g} %", Severity.WARNING, Category.TRUE_GAP,
                        self.remedy(target),
                    )  # fmt: skip
            elif verdict is Verdict.PHANTOM:
                yield self._stale(target, seen)
            elif verdict not in IS_A_GAP:
                category = self.classifier.category(target)
                if category:
                    yield self._absence(target, seen, category)
            elif Classifier.is_short(p, seen) or not seen.expected:
                yield self._short(target, seen)
            elif seen.extra and verdict is not Verdict.BLOCKED and p.restate != "never":
                # of one that waits it cannot be told: what is expected of it may follow from what it waits for
                yield self._stale(target, seen)

    def _short(self, target: Target, seen: Seen) -> Fault:
        category = self.classifier.category(target)
        assert category
        if not seen.expected:
            there = f"{seen.rows:,} rows are there" if seen.rows else "nothing is there"
            text, rule = f"{there}, and what should be cannot be told yet", "expectation unknown"
        else:
            text, rule = _share(seen), "keys missing" if seen.covered else "nothing there"
        return self.fault(
            Check.COVERAGE, rule, target, seen.expected, seen.covered, self._because(target, text), category=category
        )

    def _stale(self, target: Target, seen: Seen) -> Fault:
        if seen.expected:
            text = f"{seen.extra:,} keys that nobody expects, beside {seen.expected:,} that are"
        else:
            text = f"{seen.rows:,} rows, and nothing is expected"
        remedy = self._at(target) if self.classifier.verdict(target) is Verdict.PHANTOM else None
        found = seen.covered + seen.extra if seen.expected else seen.rows
        return self.fault(
            Check.COVERAGE, "rows nobody expects", target, seen.expected, found,
            _joined(text, self._units(target.day)), Severity.WARNING, Category.STALE_SCHEDULED, remedy,
        )  # fmt: skip

    def _absence(self, target: Target, seen: Seen, category: Category) -> Fault:
        called = self.pipeline.words
        text = {
            Category.BOOTSTRAP: f"the {called.period}'s first days: too little has taken place to compute it",
            Category.LATE_START: "its own rule expects nothing yet: it needs more history than others",
            Category.NOT_DUE: f"its {called.units} are not over",
            Category.ACKNOWLEDGED: "a person has declared it unrecoverable",
        }.get(category, _joined("nothing is expected", self._units(target.day)))
        severity = Severity.EXPECTED if category in EXPECTED else Severity.WARNING
        remedy = self.made(Repair.NOTHING if severity is Severity.EXPECTED else Repair.LOOK, target)
        return self.fault(
            Check.COVERAGE, str(category), target, seen.expected, seen.covered, text, severity, category, remedy
        )

    def _units(self, day: date) -> str:
        """What the calendar says of a date; empty where there is none."""
        if not self.pipeline.calendar:
            return ""
        known = self.classifier.day(day)
        if known is None:
            return f"no {self.pipeline.words.unit} was scheduled that day"
        if not known.scheduled:
            return f"every {self.pipeline.words.unit} of that day was postponed"
        return f"{self.pipeline.words.count(known.final)} took place that day"

    # -- what is wrong with the rows ------------------------------------------------------------------------------

    def damage(self) -> Iterator[Fault]:
        """Rows that repeat a key, or are not what was published."""
        for target, _, seen in self.targets:
            if seen.duplicates:
                keys = ", ".join(self.pipeline.processors[target.processor].key)
                yield self.fault(
                    Check.QUALITY, "duplicate keys", target, seen.rows - seen.duplicates, seen.rows,
                    f"{seen.duplicates:,} of {seen.rows:,} rows repeat a key ({keys})", category=Category.DAMAGED,
                    own_rows=True,
                )  # fmt: skip
            if seen.altered:
                yield self.fault(
                    Check.QUALITY, "changed rows", target, seen.rows, seen.rows - seen.altered,
                    f"{seen.altered:,} of {seen.rows:,} rows are not as they were published",
                    category=Category.DAMAGED, own_rows=True,
                )  # fmt: skip

    def cascade(self) -> Iterator[Fault]:
        """Rows built on missing input, before their input was, or over a window with a hole."""
        for target, verdict, seen in self.targets:
            p = self.pipeline.processors[target.processor]
            if seen.suspect:
                text = f"{seen.suspect:,} of {seen.rows:,} rows where {p.suspect}"
                yield self.fault(
                    Check.CASCADE, "built on missing input", target, seen.rows, seen.rows - seen.suspect,
                    self._upstream_now(target, text), category=Category.CASCADING, own_rows=True,
                )  # fmt: skip
            elif verdict in IS_A_GAP:
                if seen.expected and not Classifier.is_short(p, seen):
                    yield from self._out_of_date(p, target, verdict, seen)
            elif verdict is Verdict.COMPLETE and p.run != "none" and target.day <= self.classifier.today:
                hole = self._hole(p, target.day)
                if hole:
                    yield self._over_a_hole(target, seen, hole)

    def _out_of_date(self, p: Processor, target: Target, verdict: Verdict, seen: Seen) -> Iterator[Fault]:
        now = self.look.judgement.inputs_of(target)
        if p.run == "sql" and p.restate == "on_upstream_change" and seen.inputs != now:
            text = "built before something that it reads was rebuilt or lost"
            if seen.inputs is None:
                text = "its rows were not all built from the same input"
            yield self.fault(
                Check.CASCADE, "built before its upstream", target, seen.rows, 0, self._because(target, text),
                category=Category.CASCADING,
            )  # fmt: skip
        elif verdict is Verdict.BLOCKED:
            yield self.fault(
                Check.CASCADE, "upstream not complete", target, seen.rows, seen.rows,
                self._because(target, "its rows are there, and what they are built on is not complete"),
                category=Category.CASCADING,
            )  # fmt: skip

    def _over_a_hole(self, target: Target, seen: Seen, hole: Target) -> Fault:
        root = self.classifier.root(hole)
        severity = Severity.WARNING if self.classifier.category(root) in EXPECTED else Severity.CRITICAL
        return self.fault(
            Check.CASCADE, "window spans a gap", target, seen.rows, 0,
            f"its look-back spans {hole} ({self.classifier.verdict(hole)})", severity, Category.CASCADING,
            self._at(root),
        )  # fmt: skip

    def _hole(self, p: Processor, day: date) -> Target | None:
        """The newest gap in the look-back windows of a date."""
        found: Target | None = None
        end = (day - self.look.judgement.first).days
        for name, edge in p.upstream.items():
            if not edge.lookback_days or not edge.version or self.pipeline.processors[name].optional:
                continue
            holes = self._holes[name]
            start = max(end - edge.lookback_days, 0)
            i = end
            if holes[end] == holes[start]:
                continue
            while holes[i] == holes[end]:
                i -= 1
            hole = Target(name, self.look.judgement.first + timedelta(days=i))
            if found is None or hole.day > found.day:
                found = hole
        return found

    # -- between processors ---------------------------------------------------------------------------------------

    @property
    def rules(self) -> Sequence[Rule]:
        """The declared rules of which both sides were looked at."""
        return [r for r in self.pipeline.consistency if all(n in self.look.observation.columns for n in r.processors)]

    def consistency(self) -> Iterator[Fault]:
        """The declared rules, date by date."""
        observation = self.look.observation
        for rule in self.rules:
            about, other = rule.processors
            for i in range(len(observation.calendar)):
                target = Target(about, observation.first + timedelta(days=i))
                rows, others = observation.columns[about][i] or NOTHING, observation.columns[other][i] or NOTHING
                if self.wanted(target) and self.classifier.verdict(target) and _broken(rule, rows, others):
                    yield self._inconsistent(rule, target, rows, others)

    def _inconsistent(self, rule: Rule, target: Target, rows: Seen, others: Seen) -> Fault:
        other = rule.processors[1]
        compared = Target(other, target.day)
        category = self.classifier.category(target)
        if rule.at_most is None:
            text, expected = f"no rows, although {other} has {others.rows:,}", max(rows.expected, 1)
        else:
            text = f"{rows.rows:,} rows, more than {rule.at_most:g} times the {others.rows:,} of {other}"
            expected = int(rule.at_most * others.rows)
        at = target if category else compared
        category = category or self.classifier.category(compared)
        remedy = self._at(self.classifier.root(at)) if category else self.made(Repair.LOOK, target)
        return self.fault(
            Check.CONSISTENCY, rule.name, target, expected, rows.rows,
            f"{text}: {rule.says}" if rule.says else text,
            Severity.EXPECTED if category in EXPECTED else Severity(rule.severity),
            category or Category.CASCADING, remedy,
        )  # fmt: skip

    # -- words and remedies ---------------------------------------------------------------------------------------

    def fault(
        self, check: Check, rule: str, target: Target, expected: int, found: int, evidence: str,
        severity: Severity | None = None, category: Category | None = None, remedy: Remedy | None = None,
        *, own_rows: bool = False,
    ) -> Fault:  # fmt: skip
        """A fault; what is not given comes from the target. Where its own rows are wrong, it follows from nothing."""
        own = self.classifier.category(target)
        if own in EXPECTED and severity is not Severity.WARNING:
            severity, category, remedy = Severity.EXPECTED, own, self.made(Repair.NOTHING, target)
        remedy = remedy or self.remedy(target)
        return Fault(
            check, rule, severity or self._severity(target), category or own or Category.DAMAGED, target, expected,
            found, evidence, remedy, not own_rows and remedy.at != target and self.wanted(remedy.at),
        )  # fmt: skip

    def _severity(self, target: Target) -> Severity:
        """A failure, unless the target waits for nothing but what is expected to be absent."""
        return Severity.WARNING if self.classifier.waits_for_expected(target) else Severity.CRITICAL

    def remedy(self, target: Target) -> Remedy:
        """What repairs a target, beginning where its trouble begins; one that looks complete is made anew."""
        if self.classifier.verdict(target) in IS_A_GAP:
            return self._at(self.classifier.root(target))
        return remake(self.pipeline, target)

    def _at(self, root: Target) -> Remedy:
        """What repairs a target at which trouble begins."""
        return remedy_for(self.pipeline, root, self.classifier.verdict(root))

    def made(self, kind: Repair, target: Target) -> Remedy:
        """A kind of work on a target, whatever its verdict."""
        return made(self.pipeline, kind, target)

    def _because(self, target: Target, text: str) -> str:
        """A sentence with what a target waits for, and what the ledger and the calendar say."""
        verdict, gap = self.classifier.verdict(target), self.gaps.get(target)
        parts = [text]
        root = self.classifier.root(target)
        if root != target:
            parts.append(f"waits for {root} ({self.classifier.verdict(root)})")
        elif verdict is Verdict.MISSING:
            source = self.pipeline.processors[target.processor].run == "none"
            parts += [self._units(target.day), "" if source else "its upstream is complete"]
        elif verdict is Verdict.IN_FLIGHT:
            parts.append("another run is at work on it")
        if gap and gap.detail:
            parts.append(gap.detail)
        return _joined(*parts)

    def _upstream_now(self, target: Target, text: str) -> str:
        """A sentence with the upstream that is not complete now."""
        upstream = self.pipeline.processors[target.processor].upstream
        open_ones = [name for name in upstream if self.classifier.verdict(Target(name, target.day)) in IS_A_GAP]
        if not open_ones:
            return f"{text}; what it reads is complete now"
        return f"{text}; not complete now: {', '.join(open_ones)}"


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _share(seen: Seen) -> str:
    if not seen.covered:
        more = f", but {seen.rows:,} rows of other keys" if seen.rows else ""
        return f"none of {seen.expected:,} expected keys{more}"
    return f"{seen.covered:,} of {seen.expected:,} expected keys ({seen.coverage_pct:.1f} %)"


def _broken(rule: Rule, rows: Seen, others: Seen) -> bool:
    if rule.at_most is None:
        return others.rows > 0 and not rows.rows
    return rows.rows > rule.at_most * others.rows
