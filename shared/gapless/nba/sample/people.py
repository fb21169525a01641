"""Invented players and the rosters they form, year after year."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from gapless.nba.sample.days import FIRST_SEASON
from gapless.nba.sample.teams import TEAMS

FIRST_PLAYER_ID = 9_000_001  # far from the ids of real players, so that both can live in one warehouse

_GIVEN = (
    "Abel", "Amari", "Anders", "Bastien", "Brice", "Caleb", "Cassius", "Corwin", "Dario", "Davon", "D'Amir",
    "Desmond", "Elias", "Emeric", "Ezra", "Fabian", "Felix", "Garrick", "Gideon", "Hollis", "Ignatius", "Ilya",
    "Isandro", "Jabari", "Jorah", "Kalen", "Keon", "Lars", "Leandro", "Lucian", "Malachi", "Marek", "Matteus", "Nico",
    "Obadiah", "Olumide", "Orson", "Pascal", "Quillan", "Rafe", "Remy", "Rurik", "Sandor", "Silas", "Soren", "Tavion",
    "Teodor", "Tobias", "Ulric", "Vance", "Viktor", "Wendell", "Xander", "Yannick", "Zavier", "Zeke",
)  # fmt: skip
# Surnames are put together from parts that do not meet in real ones.
_FRONT = (
    "Alder", "Amber", "Brill", "Cald", "Carrow", "Dask", "Dorn", "Eben", "Fenn", "Farro", "Gild", "Grav", "Hask",
    "Ister", "Jarro", "Keld", "Kest", "Lorr", "Marrow", "Merr", "Nard", "Orrin", "Pell", "Quarr", "Rav", "Sarro",
    "Skell", "Tarn", "Thess", "Ulver", "Varr", "Vell", "Wexa", "Yarro", "Zell",
)  # fmt: skip
_BACK = (
    "acombe", "adine", "afell", "agrove", "amoor", "andel", "arrick", "askin", "avane", "elby", "emont", "endric",
    "esk", "idan", "imoor", "olane", "orsk", "ovand", "uthe",
)  # fmt: skip


@dataclass(frozen=True)
class Player:
    """What a player is good at; all rates are per minute or per attempt."""

    player_id: int
    name: str
    talent: float
    age: int
    usage: float
    two_pct: float
    three_pct: float
    free_throw_pct: float
    three_rate: float
    foul_drawing: float
    rebounding: float
    passing: float
    stealing: float
    blocking: float
    fouling: float


@dataclass
class Roster:
    """The players of a team, the best first."""

    team: str
    players: list[Player]

    def rank(self) -> None:
        self.players.sort(key=lambda player: (-player.talent, player.player_id))


def rosters(season: int, seed: int) -> dict[str, Roster]:
    """The rosters of a season: those of the first season, and every year's departures, trades and newcomers."""
    rng = Random(f"people:{seed}")
    newcomers = _newcomers(rng)
    teams = {team: Roster(team, [next(newcomers) for _ in range(rng.randint(13, 15))]) for team in TEAMS}
    for _ in range(FIRST_SEASON, season):
        _turn_year(teams, newcomers, rng)
    for roster in teams.values():
        roster.rank()
    return teams


def player_lookup(name: str) -> str:
    """The name as the pipeline joins by it."""
    return re.sub(r"[^a-z]", "", name.lower())


def _turn_year(teams: dict[str, Roster], newcomers: Iterator[Player], rng: Random) -> None:
    for roster in teams.values():
        roster.players = [
            _older(player, rng)
            for player in roster.players
            if player.age < 37 and rng.random() > (0.25 if player.age > 32 else 0.05)
        ]
    for _ in range(35):
        one, other = (teams[team].players for team in rng.sample(TEAMS, 2))
        i, j = rng.randrange(len(one)), rng.randrange(len(other))
        one[i], other[j] = other[j], one[i]
    for roster in teams.values():
        size = rng.randint(13, 15)
        roster.rank()
        del roster.players[size:]
        roster.players += [next(newcomers) for _ in range(size - len(roster.players))]


def _older(player: Player, rng: Random) -> Player:
    return Player(**{**vars(player), "age": player.age + 1, "talent": 0.95 * player.talent + rng.gauss(0, 0.2)})


def _newcomers(rng: Random) -> Iterator[Player]:
    """Ever new players; no two share a name, even after the pipeline has normalised it."""
    taken: set[str] = set()
    number = FIRST_PLAYER_ID
    while True:
        name = f"{rng.choice(_GIVEN)} {rng.choice(_FRONT)}{rng.choice(_BACK)}"
        if player_lookup(name) in taken:
            continue
        taken.add(player_lookup(name))
        yield _newcomer(number, name + (" Jr." if rng.random() < 0.02 else ""), rng)
        number += 1


def _newcomer(player_id: int, name: str, rng: Random) -> Player:
    talent = rng.gauss(0, 1)
    size = rng.random()  # from small guard to centre
    return Player(
        player_id=player_id,
        name=name,
        talent=talent,
        age=rng.randint(19, 31),
        usage=2.718 ** (0.19 * talent + rng.gauss(0, 0.13)),
        two_pct=0.512 + 0.006 * talent + 0.07 * size + rng.gauss(0, 0.02),
        three_pct=0.375 - 0.04 * size + rng.gauss(0, 0.02),
        free_throw_pct=0.83 - 0.12 * size + rng.gauss(0, 0.04),
        three_rate=max(0.02, 0.53 - 0.40 * size**2 + rng.gauss(0, 0.07)),
        foul_drawing=2.718 ** (0.08 * talent + rng.gauss(0, 0.2)),
        rebounding=0.5 + 1.4 * size**1.5 + 0.1 * rng.random(),
        passing=2.718 ** (0.3 * talent - 1.4 * size + rng.gauss(0, 0.25)),
        stealing=2.718 ** rng.gauss(-0.3 * size, 0.25),
        blocking=0.15 + 1.6 * size**3,
        fouling=0.8 + 0.5 * size + 0.2 * rng.random(),
    )
