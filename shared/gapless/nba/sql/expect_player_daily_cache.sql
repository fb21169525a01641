-- expect_player_daily_cache: the players of each date with at least 3 earlier games in the same season: before today those
-- who have a box score line, today and later the roster, see _upcoming_roster.sql.
-- The look-back is longer than any season, so counting within a season is enough.

WITH roster AS (
{include upcoming_roster}
),

timeline AS (
  SELECT
    game_date,
    UNIX_DATE(game_date) AS day,
    universal_player_id,
    player_lookup,
    season_year,
    IF(is_active, 1, 0) AS played,
    game_date >= @first AND game_date < @today AS is_target
  FROM {player_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@first, INTERVAL {player_game_summary.lookback} DAY) AND @last
  UNION ALL
  SELECT
    game_date,
    UNIX_DATE(game_date) AS day,
    universal_player_id,
    player_lookup,
    season_year,
    0 AS played,
    TRUE AS is_target
  FROM roster
),

counted AS (
  SELECT
    game_date,
    player_lookup,
    is_target,
    SUM(played) OVER (
      PARTITION BY universal_player_id, season_year ORDER BY day RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS earlier_games
  FROM timeline
)

SELECT DISTINCT
  game_date AS cache_date,
  player_lookup
FROM counted
WHERE is_target
  AND earlier_games >= 3
