-- team_defense_game_summary: what each team allowed its opponent in one game, from the opponent's box score lines.
--
-- opp_possessions    FGA + 0.44 FTA - OREB + TOV of the opponent, the usual estimate: an attempt, a trip to the line or
--                    a turnover ends a possession, an offensive rebound prolongs it. 0.44 because not every free throw
--                    ends one. Rounded to a whole number.
-- defensive_rating   points allowed per 100 (unrounded) possessions, 0..300. 0 when possessions are unknown, which the
--                    pipeline treats as suspect downstream, never as a perfect defence.
-- quality tier       GOLD: the opponent's lines account for at least 90 % of the 240 player-minutes of a regulation
--                    game; SILVER: the source has no minutes; BRONZE: fewer minutes, the box score is incomplete.
--
-- A team gets a row only when both teams have lines: without the opponent's there is nothing to tell, and a row of zeros
-- would look like a record. The expectation asks for both teams, so the gap stays visible.

WITH teams AS (
  SELECT
    game_id,
    game_date,
    team_abbr,
    home_team_abbr,
    away_team_abbr,
    MAX(season_year) AS season_year,
    SUM(points) AS points,
    SUM(field_goals_made) AS field_goals_made,
    SUM(field_goals_attempted) AS field_goals_attempted,
    SUM(three_pointers_made) AS three_pointers_made,
    SUM(three_pointers_attempted) AS three_pointers_attempted,
    SUM(free_throws_attempted) AS free_throws_attempted,
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
  defence.game_id,
  defence.game_date,
  defence.team_abbr AS defending_team_abbr,
  opponent.team_abbr AS opponent_team_abbr,
  defence.season_year,
  defence.team_abbr = defence.home_team_abbr AS home_game,
  defence.points > opponent.points AS win_flag,
  opponent.points AS points_allowed,
  opponent.field_goals_made AS opp_field_goals_made,
  opponent.field_goals_attempted AS opp_field_goals_attempted,
  opponent.three_pointers_made AS opp_three_pointers_made,
  opponent.three_pointers_attempted AS opp_three_pointers_attempted,
  opponent.free_throws_attempted AS opp_free_throws_attempted,
  CAST(ROUND(GREATEST(0, opponent.possession_hundredths) / 100) AS INT64) AS opp_possessions,
  LEAST(300, ROUND(IFNULL(SAFE_DIVIDE(10000 * opponent.points, GREATEST(0, opponent.possession_hundredths)), 0), 2))
    AS defensive_rating,
  CASE
    WHEN IFNULL(opponent.whole_minutes, 0) = 0 THEN 'SILVER'
    WHEN opponent.whole_minutes < 216 THEN 'BRONZE'
    ELSE 'GOLD'
  END AS data_quality_tier,
  'BOXSCORE' AS data_source
FROM teams AS defence
JOIN teams AS opponent
  ON opponent.game_id = defence.game_id
  AND opponent.team_abbr
    = IF(defence.team_abbr = defence.home_team_abbr, defence.away_team_abbr, defence.home_team_abbr)
