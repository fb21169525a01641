"""Templates: SQL that reads as SQL, with holes like `{table}` for the few fragments that vary.

A text of a few lines stands in the module that uses it, a longer one in the folder `sql` beside that module. Fragments
are text and come from declarations, never from outside; values travel as parameters.
"""

from __future__ import annotations

import re
from pathlib import Path

HOLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class Template:
    """One text with its holes."""

    def __init__(self, text: str, name: str = "template") -> None:
        lines = text.strip().splitlines()
        self._lines = [line.rstrip() for line in lines if not line.lstrip().startswith("--")]
        self._name = name
        self.holes = frozenset(HOLE.findall("\n".join(self._lines)))

    def fill(self, **fragments: str) -> str:
        """The text with every hole filled; raises `TypeError` where fragments and holes are not the same.

        A line of which nothing is left disappears, so an optional clause is a line of its own. What a fragment holds
        is taken as it is: braces in it are no holes.
        """
        missing, unknown = self.holes - fragments.keys(), fragments.keys() - self.holes
        if missing or unknown:
            names = ", ".join(sorted(missing) or sorted(unknown))
            raise TypeError(f"{self._name}: {'nothing fills' if missing else 'there is no hole'} {names}")
        filled = (HOLE.sub(lambda hole: fragments[hole[1]], line) for line in self._lines)
        return "\n".join(line.rstrip() for line in filled if line.strip())


def template(module: str, name: str) -> Template:
    """The template `sql/NAME.sql` beside a module, which is named by its `__file__`."""
    path = Path(module).with_name("sql") / f"{name}.sql"
    return Template(path.read_text(encoding="utf-8"), f"{path.parent.parent.name}/sql/{path.name}")
