-- upcoming_team_game_context: both teams of each game of today and later that is not postponed.
--
-- game_id           analytics form YYYYMMDD_AWAY_HOME
-- team_days_rest    whole days off since the team's latest game within {team_offense_game_summary.lookback} days:
--                   0 is a back-to-back, NULL when it has not played (the season's first game)
-- game_spread       NULL: the pipeline has no source of game lines yet; the column is part of the table's contract

WITH games AS (
  SELECT
    game_date,
    CONCAT(FORMAT_DATE('%Y%m%d', game_date), '_', away_team_tricode, '_', home_team_tricode) AS game_id,
    home_team_tricode AS home,
    away_team_tricode AS away,
    MAX(season_year) AS season_year
  FROM {schedule}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN GREATEST(@first, @today) AND @last
    AND NOT is_all_star
    AND SUBSTR(game_id, 1, 3) NOT IN ('001', '003')  -- preseason and all-star games
  GROUP BY game_date, home_team_tricode, away_team_tricode
  HAVING MAX(game_status) = 3
    OR NOT LOGICAL_OR(REGEXP_CONTAINS(game_status_text, r'(?i)^(postponed|ppd|cancel)'))
),

sides AS (
  SELECT game_date, game_id, season_year, home AS team_abbr, away AS opponent_team_abbr, TRUE AS home_game FROM games
  UNION ALL
  SELECT game_date, game_id, season_year, away AS team_abbr, home AS opponent_team_abbr, FALSE AS home_game FROM games
),

latest_games AS (
  SELECT sides.game_id, sides.team_abbr, MAX(played.game_date) AS played_on
  FROM sides
  JOIN {team_offense_game_summary} AS played
    ON played.team_abbr = sides.team_abbr
    AND played.game_date BETWEEN DATE_SUB(sides.game_date, INTERVAL {team_offense_game_summary.lookback} DAY)
      AND DATE_SUB(sides.game_date, INTERVAL 1 DAY)
  WHERE played.game_date
    BETWEEN DATE_SUB(GREATEST(@first, @today), INTERVAL {team_offense_game_summary.lookback} DAY)
      AND DATE_SUB(@last, INTERVAL 1 DAY)
  GROUP BY sides.game_id, sides.team_abbr
)

SELECT
  sides.team_abbr,
  sides.game_id,
  sides.game_date,
  sides.opponent_team_abbr,
  sides.season_year,
  sides.home_game,
  DATE_DIFF(sides.game_date, latest_games.played_on, DAY) - 1 AS team_days_rest,
  CAST(NULL AS FLOAT64) AS game_spread,
  'SCHEDULE' AS data_source
FROM sides
LEFT JOIN latest_games
  ON latest_games.game_id = sides.game_id AND latest_games.team_abbr = sides.team_abbr
