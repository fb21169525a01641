"""The thirty teams: real codes and ids, because files and tables are joined by them."""

from __future__ import annotations

# conference -> divisions -> team codes
LEAGUE: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("BOS", "BKN", "NYK", "PHI", "TOR"),
        ("CHI", "CLE", "DET", "IND", "MIL"),
        ("ATL", "CHA", "MIA", "ORL", "WAS"),
    ),
    (
        ("DEN", "MIN", "OKC", "POR", "UTA"),
        ("GSW", "LAC", "LAL", "PHX", "SAC"),
        ("DAL", "HOU", "MEM", "NOP", "SAS"),
    ),
)

CONFERENCES: tuple[tuple[str, ...], ...] = tuple(
    tuple(team for division in conference for team in division) for conference in LEAGUE
)
TEAMS: tuple[str, ...] = tuple(team for conference in CONFERENCES for team in conference)
LATE_TIPOFFS = frozenset({"GSW", "LAC", "LAL", "PHX", "POR", "SAC", "UTA"})

_BY_ID = (
    "ATL BOS CLE NOP CHI DAL DEN GSW HOU LAC LAL MIA MIL MIN BKN "
    "NYK ORL IND PHI PHX POR SAC SAS OKC TOR UTA MEM WAS DET CHA"
)
TEAM_IDS = {team: 1610612737 + index for index, team in enumerate(_BY_ID.split())}
