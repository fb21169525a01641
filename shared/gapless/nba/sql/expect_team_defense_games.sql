-- expect_team_defense_games: both teams of every game that has box score lines. The teams come from the game, not from
-- the lines, so a game with the lines of one team only is seen as a gap.

SELECT DISTINCT
  game_id,
  game_date,
  defending_team_abbr
FROM {boxscores}
CROSS JOIN UNNEST([home_team_abbr, away_team_abbr]) AS defending_team_abbr
WHERE game_date BETWEEN @first AND @last
  AND game_date < @today
