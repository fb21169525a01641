"""The league's files: which kinds there are, and what makes their rows right.

Rows are checked against their game. What is left out on purpose and counted in the notes: preseason and all-star games,
markets other than points, lines on games postponed that day or without player or line, games to come whose teams are
not decided.
"""

from __future__ import annotations

from gapless.files.kinds import Kind
from gapless.nba.files import boxscores, props, schedule, shots

# Of layouts that are equally near, the first is named; rows of one source stand in this order.
KINDS: tuple[Kind, ...] = (boxscores.KIND, schedule.KIND, shots.KIND, props.KIND)
