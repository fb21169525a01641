-- player_game_summary: one row for each box score line, with the game's result and two rates.
--
-- minutes_played   minutes with one decimal; the source writes 'MM' or 'MM:SS'. NULL when it wrote neither.
-- is_active        appeared: minutes, or anything counted in the line. Sources that write whole minutes give 0 to
--                  somebody who played ten seconds; a line without minutes and without any count is a player who
--                  stayed on the bench (is_dnp). is_active is therefore never false where minutes_played > 0.
-- usage_rate       share (0..100) of the team's possessions that the player ended while on the floor:
--                  100 * (FGA + 0.44 FTA + TOV) * (team minutes / 5) / (minutes * (team FGA + 0.44 FTA + TOV)).
--                  0.44 because not every free throw ends a possession (and-ones, technicals, three-shot fouls).
--                  Capped at 100: a few seconds on the floor and one shot give more. NULL without minutes.
-- true_shooting    points per two shooting possessions: PTS / (2 * (FGA + 0.44 FTA)), 0..2. NULL without an attempt.
-- win_flag         the team's lines add up to more points than the opponent's.
-- completeness     share (0..100) of the 480 player-minutes of a regulation game that the lines account for, capped;
--                  NULL in eras without minutes. Below 90, or with only one team, the game is marked partial.
--
-- Sums are sums of integers (hundredths of possessions, tenths of minutes), divided and rounded once, so that a rebuilt
-- date has the same bytes.

WITH lines AS (
  SELECT
    *,
    10 * SAFE_CAST(SPLIT(minutes, ':')[SAFE_OFFSET(0)] AS INT64)
      + IFNULL(DIV(SAFE_CAST(SPLIT(minutes, ':')[SAFE_OFFSET(1)] AS INT64) + 3, 6), 0) AS minute_tenths,
    100 * IFNULL(field_goals_attempted, 0) + 44 * IFNULL(free_throws_attempted, 0)
      AS shooting_hundredths,
    100 * IFNULL(field_goals_attempted, 0) + 44 * IFNULL(free_throws_attempted, 0) + 100 * IFNULL(turnovers, 0)
      AS usage_hundredths,
    points + IFNULL(field_goals_attempted, 0) + IFNULL(free_throws_attempted, 0) + IFNULL(rebounds, 0)
      + IFNULL(assists, 0) + IFNULL(steals, 0) + IFNULL(blocks, 0) + IFNULL(turnovers, 0)
      + IFNULL(personal_fouls, 0) + ABS(IFNULL(plus_minus, 0)) AS anything_counted
  FROM {boxscores}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
    AND game_date < @today
),

teams AS (
  SELECT
    game_id,
    team_abbr,
    SUM(points) AS points,
    SUM(minute_tenths) AS minute_tenths,
    SUM(usage_hundredths) AS usage_hundredths
  FROM lines
  GROUP BY game_id, team_abbr
),

games AS (
  SELECT game_id, COUNT(*) AS teams, SUM(minute_tenths) AS minute_tenths
  FROM teams
  GROUP BY game_id
)

SELECT
  line.game_id,
  line.game_date,
  line.player_lookup,
  CAST(line.bdl_player_id AS STRING) AS universal_player_id,
  line.player_full_name,
  line.nba_game_id,
  line.season_year,
  line.is_playoffs,
  line.team_abbr,
  IF(line.team_abbr = line.home_team_abbr, line.away_team_abbr, line.home_team_abbr) AS opponent_team_abbr,
  line.team_abbr = line.home_team_abbr AS home_game,
  IFNULL(team.points > opponent.points, FALSE) AS win_flag,
  ROUND(line.minute_tenths / 10, 1) AS minutes_played,
  line.points,
  line.field_goals_made,
  line.field_goals_attempted,
  line.three_pointers_made,
  line.three_pointers_attempted,
  line.free_throws_made,
  line.free_throws_attempted,
  line.offensive_rebounds,
  line.defensive_rebounds,
  line.rebounds,
  line.assists,
  line.steals,
  line.blocks,
  line.turnovers,
  line.personal_fouls,
  line.plus_minus,
  LEAST(100, ROUND(SAFE_DIVIDE(
    20 * line.usage_hundredths * team.minute_tenths,
    line.minute_tenths * team.usage_hundredths), 1)) AS usage_rate,
  LEAST(2, ROUND(SAFE_DIVIDE(50 * line.points, line.shooting_hundredths), 4)) AS true_shooting_pct,
  IFNULL(line.minute_tenths, 0) > 0 OR line.anything_counted > 0 AS is_active,
  IFNULL(line.minute_tenths, 0) <= 0 AND line.anything_counted <= 0 AS is_dnp,
  IF(IFNULL(line.minute_tenths, 0) > 0 OR line.anything_counted > 0, 'active', 'dnp') AS player_status,
  game.teams < 2 OR IFNULL(game.minute_tenths, 4800) < 4320 AS is_partial_game_data,
  LEAST(100, ROUND(game.minute_tenths / 48, 2)) AS game_completeness_pct,
  'BOXSCORE' AS data_source
FROM lines AS line
JOIN teams AS team
  ON team.game_id = line.game_id AND team.team_abbr = line.team_abbr
JOIN games AS game
  ON game.game_id = line.game_id
LEFT JOIN teams AS opponent
  ON opponent.game_id = line.game_id
  AND opponent.team_abbr = IF(line.team_abbr = line.home_team_abbr, line.away_team_abbr, line.home_team_abbr)
