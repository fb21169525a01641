-- expect_upcoming_players: for every game of today and later that is not postponed, the players who appeared in one of
-- their team's last 5 games within {player_game_summary.lookback} days before it; a traded player with the team of his latest game.
-- The same rule as upcoming_player_game_context. Few dates are upcoming, so this reads little.

WITH games AS (
  SELECT
    game_date,
    CONCAT(FORMAT_DATE('%Y%m%d', game_date), '_', away_team_tricode, '_', home_team_tricode) AS game_id,
    home_team_tricode AS home,
    away_team_tricode AS away
  FROM {schedule}
  WHERE game_date BETWEEN GREATEST(@first, @today) AND @last
    AND NOT is_all_star
    AND SUBSTR(game_id, 1, 3) NOT IN ('001', '003')  -- preseason and all-star games
  GROUP BY game_date, home_team_tricode, away_team_tricode
  HAVING MAX(game_status) = 3
    OR NOT LOGICAL_OR(REGEXP_CONTAINS(game_status_text, r'(?i)^(postponed|ppd|cancel)'))
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
    played.player_lookup
  FROM {player_game_summary} AS played
  JOIN game_days
    ON played.game_date
      BETWEEN DATE_SUB(game_days.game_date, INTERVAL {player_game_summary.lookback} DAY) AND DATE_SUB(game_days.game_date, INTERVAL 1 DAY)
  WHERE played.game_date
    BETWEEN DATE_SUB(GREATEST(@first, @today), INTERVAL {player_game_summary.lookback} DAY) AND DATE_SUB(@last, INTERVAL 1 DAY)
    AND played.is_active
),

team_games AS (
  SELECT
    game_date,
    team_abbr,
    played_game_id,
    ROW_NUMBER() OVER (PARTITION BY game_date, team_abbr ORDER BY MAX(played_on) DESC, played_game_id DESC) AS games_ago
  FROM appearances
  GROUP BY game_date, team_abbr, played_game_id
),

latest_appearances AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY game_date, universal_player_id ORDER BY played_on DESC, played_game_id DESC) AS games_ago
  FROM appearances
)

SELECT
  games.game_id,
  games.game_date,
  latest.player_lookup
FROM latest_appearances AS latest
JOIN team_games
  ON team_games.game_date = latest.game_date
  AND team_games.team_abbr = latest.team_abbr
  AND team_games.played_game_id = latest.played_game_id
CROSS JOIN UNNEST([TRUE, FALSE]) AS home_game
JOIN games
  ON games.game_date = latest.game_date
  AND IF(home_game, games.home, games.away) = latest.team_abbr
WHERE latest.games_ago = 1
  AND team_games.games_ago <= 5
