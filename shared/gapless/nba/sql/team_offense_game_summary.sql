-- team_offense_game_summary: what each team produced in one game, from its own box score lines.
--
-- possessions        FGA + 0.44 FTA - OREB + TOV, rounded; the same estimate as in team_defense_game_summary.
-- offensive_rating   points per 100 (unrounded) possessions, 0..300; 0 when possessions are unknown.
-- pace               possessions of both teams, averaged, per 48 minutes. The length of the game is its regulation 240
--                    player-minutes plus 25 for each overtime, taken from the lines: sources round a player's minutes,
--                    so their plain sum would move the pace by a per cent. 240 where the source has no minutes.
--
-- A team gets a row only when both teams have lines: the result and the pace need the opponent.

WITH teams AS (
  SELECT
    game_id,
    game_date,
    team_abbr,
    home_team_abbr,
    away_team_abbr,
    MAX(nba_game_id) AS nba_game_id,
    MAX(season_year) AS season_year,
    SUM(points) AS points,
    SUM(field_goals_made) AS field_goals_made,
    SUM(field_goals_attempted) AS field_goals_attempted,
    SUM(three_pointers_made) AS three_pointers_made,
    SUM(three_pointers_attempted) AS three_pointers_attempted,
    SUM(free_throws_attempted) AS free_throws_attempted,
    SUM(turnovers) AS turnovers,
    SUM(100 * IFNULL(field_goals_attempted, 0) + 44 * IFNULL(free_throws_attempted, 0)
      - 100 * IFNULL(offensive_rebounds, 0) + 100 * IFNULL(turnovers, 0)) AS possession_hundredths,
    SUM(SAFE_CAST(SPLIT(minutes, ':')[SAFE_OFFSET(0)] AS INT64)) AS whole_minutes
  FROM {boxscores}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
    AND game_date < @today
  GROUP BY game_id, game_date, team_abbr, home_team_abbr, away_team_abbr
)

SELECT
  offence.game_id,
  offence.game_date,
  offence.team_abbr,
  opponent.team_abbr AS opponent_team_abbr,
  offence.nba_game_id,
  offence.season_year,
  offence.team_abbr = offence.home_team_abbr AS home_game,
  offence.points > opponent.points AS win_flag,
  offence.points AS points_scored,
  offence.field_goals_made,
  offence.field_goals_attempted,
  offence.three_pointers_made,
  offence.three_pointers_attempted,
  offence.free_throws_attempted,
  offence.turnovers,
  CAST(ROUND(GREATEST(0, offence.possession_hundredths) / 100) AS INT64) AS possessions,
  LEAST(250, ROUND(SAFE_DIVIDE(
    240 * GREATEST(0, offence.possession_hundredths + opponent.possession_hundredths),
    200 * (240 + 25 * GREATEST(0, CAST(ROUND((IFNULL(offence.whole_minutes, 240) - 240) / 25) AS INT64)))), 1))
    AS pace,
  LEAST(300, ROUND(IFNULL(SAFE_DIVIDE(10000 * offence.points, GREATEST(0, offence.possession_hundredths)), 0), 2))
    AS offensive_rating,
  'BOXSCORE' AS data_source
FROM teams AS offence
JOIN teams AS opponent
  ON opponent.game_id = offence.game_id
  AND opponent.team_abbr
    = IF(offence.team_abbr = offence.home_team_abbr, offence.away_team_abbr, offence.home_team_abbr)
