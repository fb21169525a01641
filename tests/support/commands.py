"""How a command of the command line ended, and what it printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def parsed(result: Result) -> Any:
    """The one JSON document that a command printed, and nothing beside it."""
    assert result.err == ""
    return json.loads(result.out)


def plain(text: str) -> str:
    """Text on one line, as a person reads it."""
    return re.sub(r"\s+", " ", text)


Run = Callable[..., Result]
