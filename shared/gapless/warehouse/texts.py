"""The pipeline's own SQL files, with their placeholders filled."""

from __future__ import annotations

import re

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.declare.texts import GATE, PLACEHOLDER
from gapless.warehouse.names import quoted


def render(pipeline: Pipeline, name: str, owner: Processor | None) -> str:
    """A SQL file with its placeholders filled: tables and look-backs of the owner's upstream, and the owner's gate."""

    def fill(match: re.Match[str]) -> str:
        name, lookback, days = match.groups()
        if lookback and owner:
            return days or str(owner.upstream[name].lookback_days)
        return quoted(pipeline.processor(name).table)

    lines = (line for line in pipeline.texts[name].splitlines() if line.strip() and not line.lstrip().startswith("--"))
    text = "\n".join(lines)
    if owner:
        text = text.replace(GATE, f"{owner.gate_pct:g}")
    return PLACEHOLDER.sub(fill, text).rstrip().rstrip(";")
