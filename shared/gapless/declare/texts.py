"""The SQL files beside a pipeline file: their parts put in, and the placeholders that they may have."""

from __future__ import annotations

import re
from pathlib import Path

# {table}, {table.lookback}, and {table.lookback(30)}: 30 days, which the declared look-back has to reach
PLACEHOLDER = re.compile(r"\{(?!gate_pct\})([a-z][a-z0-9_]*)(\.lookback(?:\(([1-9][0-9]*)\))?)?\}")
GATE = "{gate_pct}"
INCLUDE = re.compile(r"\{include[^}]*\}")  # as somebody may have written it
_PART = re.compile(r"^[ \t]*\{include ([a-z][a-z0-9_]*)\}[ \t]*$", re.MULTILINE)  # as it is replaced


def read_texts(sql_folder: Path) -> dict[str, str]:
    """The SQL files by name, each with the code of the parts that it includes: files whose names begin with `_`.

    What cannot be included stays as it was written, for `contradictions` to find.
    """
    files = {path.stem: path.read_text(encoding="utf-8") for path in sorted(sql_folder.glob("*.sql"))}
    parts = {name[1:]: code(text).strip() for name, text in files.items() if name.startswith("_")}

    def part(match: re.Match[str]) -> str:
        return parts.get(match[1], match[0])

    return {name: _PART.sub(part, text) for name, text in files.items() if not name.startswith("_")}


def code(text: str) -> str:
    """A text without its comments."""
    return "\n".join(line.split("--")[0] for line in text.splitlines())
