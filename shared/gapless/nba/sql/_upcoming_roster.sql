-- upcoming_roster: for every game of today and later that is not postponed, the players who appeared in one of their
-- team's last 5 games within 30 days before it; a traded player with the team of his latest game, so he is listed once.
--
-- game_id               analytics form YYYYMMDD_AWAY_HOME
-- played_on             date of his latest game
-- games_in_look_back    games he appeared in, within the 30 days
-- team_games            games of his team that are known, within the 30 days
--
-- Part of upcoming_player_game_context, of what stands in for it, and of what is expected of both: they agree on who is
-- likely to play. Few dates are upcoming, so this reads little; for dates before today it is empty.

WITH games AS (
  SELECT
    game_date,
    CONCAT(FORMAT_DATE('%Y%m%d', game_date), '_', away_team_tricode, '_', home_team_tricode) AS game_id,
    home_team_tricode AS home,
    away_team_tricode AS away,
    MAX(season_year) AS season_year
  FROM {schedule}
  WHERE game_date BETWEEN GREATEST(@first, @today) AND @last
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
    ON played.game_date
      BETWEEN DATE_SUB(game_days.game_date, INTERVAL {player_game_summary.lookback(30)} DAY)
      AND DATE_SUB(game_days.game_date, INTERVAL 1 DAY)
  WHERE played.game_date
    BETWEEN DATE_SUB(GREATEST(@first, @today), INTERVAL {player_game_summary.lookback(30)} DAY)
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
    COUNT(*) OVER (PARTITION BY game_date, universal_player_id) AS games_in_look_back,
    ROW_NUMBER() OVER (
      PARTITION BY game_date, universal_player_id ORDER BY played_on DESC, played_game_id DESC) AS games_ago
  FROM appearances
)

SELECT
  sides.game_id,
  sides.game_date,
  sides.season_year,
  sides.team_abbr,
  sides.opponent_team_abbr,
  sides.home_game,
  latest.universal_player_id,
  latest.player_lookup,
  latest.player_full_name,
  latest.played_on,
  latest.games_in_look_back,
  team_games.team_games
FROM latest_appearances AS latest
JOIN team_games
  ON team_games.game_date = latest.game_date
  AND team_games.team_abbr = latest.team_abbr
  AND team_games.played_game_id = latest.played_game_id
JOIN sides
  ON sides.game_date = latest.game_date
  AND sides.team_abbr = latest.team_abbr
WHERE latest.games_ago = 1
  AND team_games.games_ago <= 5
