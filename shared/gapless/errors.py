"""Every error that Gapless raises on purpose.

A message says what happened, where, with numbers, and what to try. `permanent` answers the one question that a
caller has: can the same call succeed later without anybody changing anything? `exit_code` is what a command ends with.
"""

from __future__ import annotations


class GaplessError(Exception):
    """The root: anything that Gapless can explain."""

    permanent = True
    exit_code = 4
    reason = ""  # a word for programs, where one has to tell this error from others of its kind


class BadInput(GaplessError):
    """What the caller gave cannot be used; nothing was changed."""

    exit_code = 2


class BadField(BadInput):
    """A field of what was given cannot be used; the sentence begins with the field's name."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}")
        self.field = field
        self.sentence = sentence


class BadConfiguration(BadInput):
    """The installation is wrong, not what a caller gave: nobody's request works until somebody mends it."""


class BadPipeline(BadConfiguration):
    """The pipeline file contradicts itself; the message names the processor and the field."""


class RejectedFile(BadInput):
    """A data file breaks its contract; the message names file, row, column and value. Nothing of it was loaded."""


class Refused(GaplessError):
    """A safety rule forbids the work; the message carries the numbers and the way to lift the rule."""

    exit_code = 3


class PlanChanged(Refused):
    """The plan that would be applied is not the plan that was reviewed."""


class Storm(Refused):
    """An implausible share of what was complete looks lost; a wrong table is likelier than lost data."""


class Halted(Refused):
    """Healing is switched off."""


class CannotObserve(GaplessError):
    """The tables could not be read, so nothing is known; never the same as zero."""


class NothingLoaded(CannotObserve):
    """The tables are there and hold nothing at all; "complete" and "no gaps" would be true of them, and a lie."""

    reason = "no_data"

    def __init__(self, way_on: str) -> None:
        super().__init__(f"the tables are there and hold nothing at all; {way_on}")


class TransientFailure(CannotObserve):
    """The service failed in a way that passes; the same call may succeed later."""

    permanent = False


class Stopped(GaplessError):
    """A person stopped the run before it came to this; nothing of it was begun."""

    permanent = False
    exit_code = 1


class StillRunning(GaplessError):
    """A statement outlived the patience of the call that began it; a later call picks up what it made."""

    permanent = False
    exit_code = 1


class ClaimLost(GaplessError):
    """Another run owns these targets; its outcome will show at the next look.

    `settled` says that the other's claim is known to have ended, in rows or in nothing.
    """

    permanent = False
    exit_code = 1

    def __init__(self, message: str, *, settled: bool = True) -> None:
        super().__init__(message)
        self.settled = settled
