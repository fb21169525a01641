"""A look: what was seen at one moment, what it means, and what should be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gapless.judge.verdicts import Judgement
from gapless.model import Observation, Plan


@dataclass(frozen=True)
class Look:
    """What was seen at one moment, what it means, and what should be done about it."""

    observation: Observation
    judgement: Judgement
    plan: Plan
    at: datetime
