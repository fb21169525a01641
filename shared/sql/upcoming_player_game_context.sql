-- upcoming_player_game_context: who is likely to play in each game of today and later.
--
-- Rows      players who appeared in one of their team's last 5 games within {player_game_summary.lookback} days before
--           the date. A traded player belongs to the team of his latest game, so he is listed once.
-- Games     of the schedule, not postponed; game_id in analytics form YYYYMMDD_AWAY_HOME.
--
-- days_rest                 whole days off since his latest game: 0 is a back-to-back
-- games_in_last_30_days     games he appeared in, {player_game_summary.lookback} days before the date
-- current_points_line       the consensus line: the median of the books' two-sided lines, the lower of the middle two when
--                           their number is even, so that it is always a line somebody offers. One-sided quotes are
--                           promotions and would pull it down.
-- completeness_percentage   how much of a 5-game form the roster rests on: 20 for each of the team's last 5 games that is
--                           known, 0..100
-- is_production_ready       all 5 are known
-- backfill_bootstrap_mode   fewer than 5 are known (the season's first days)

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

game_days AS (
  SELECT DISTINCT game_date FROM games
),

appearances AS (
  SELECT
    game_days.game_date,
    played.game_date AS played_on,
    played.game_id AS played_game_id,
    played.team_abbr,
    played.universal_player_id,
    played.player_lookup,
    played.player_full_name
  FROM {player_game_summary} AS played
  JOIN game_days
    ON played.game_date BETWEEN DATE_SUB(game_days.game_date, INTERVAL {player_game_summary.lookback} DAY)
      AND DATE_SUB(game_days.game_date, INTERVAL 1 DAY)
  WHERE played.game_date
    BETWEEN DATE_SUB(GREATEST(@first, @today), INTERVAL {player_game_summary.lookback} DAY)
      AND DATE_SUB(@last, INTERVAL 1 DAY)
    AND played.is_active
),

team_games AS (
  SELECT
    game_date,
    team_abbr,
    played_game_id,
    ROW_NUMBER() OVER (PARTITION BY game_date, team_abbr ORDER BY MAX(played_on) DESC, played_game_id DESC) AS games_ago,
    COUNT(*) OVER (PARTITION BY game_date, team_abbr) AS team_games
  FROM appearances
  GROUP BY game_date, team_abbr, played_game_id
),

latest_appearances AS (
  SELECT
    *,
    COUNT(*) OVER (PARTITION BY game_date, universal_player_id) AS games_in_last_30_days,
    ROW_NUMBER() OVER (
      PARTITION BY game_date, universal_player_id ORDER BY played_on DESC, played_game_id DESC) AS games_ago
  FROM appearances
),

roster AS (
  SELECT
    latest.game_date,
    latest.team_abbr,
    latest.universal_player_id,
    latest.player_lookup,
    latest.player_full_name,
    latest.played_on,
    latest.games_in_last_30_days,
    LEAST(5, team_games.team_games) AS known_games
  FROM latest_appearances AS latest
  JOIN team_games
    ON team_games.game_date = latest.game_date
    AND team_games.team_abbr = latest.team_abbr
    AND team_games.played_game_id = latest.played_game_id
  WHERE latest.games_ago = 1 AND team_games.games_ago <= 5
),

lines AS (
  SELECT
    game_id,
    player_lookup,
    points_line,
    ROW_NUMBER() OVER (PARTITION BY game_id, player_lookup ORDER BY points_line, bookmaker) AS line_number,
    COUNT(*) OVER (PARTITION BY game_id, player_lookup) AS line_count
  FROM {prop_lines}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN GREATEST(@first, @today) AND @last
    AND (over_price IS NULL) = (under_price IS NULL)
)

SELECT
  sides.game_id,
  sides.game_date,
  roster.player_lookup,
  roster.universal_player_id,
  roster.player_full_name,
  sides.season_year,
  sides.team_abbr,
  sides.opponent_team_abbr,
  sides.home_game,
  DATE_DIFF(sides.game_date, roster.played_on, DAY) - 1 AS days_rest,
  roster.games_in_last_30_days,
  consensus.points_line IS NOT NULL AS has_prop_line,
  consensus.points_line AS current_points_line,
  20.0 * roster.known_games AS completeness_percentage,
  roster.known_games = 5 AS is_production_ready,
  roster.known_games < 5 AS backfill_bootstrap_mode,
  'SCHEDULE' AS data_source
FROM sides
JOIN roster
  ON roster.game_date = sides.game_date AND roster.team_abbr = sides.team_abbr
LEFT JOIN lines AS consensus
  ON consensus.game_id = sides.game_id
  AND consensus.player_lookup = roster.player_lookup
  AND consensus.line_number = DIV(consensus.line_count + 1, 2)
