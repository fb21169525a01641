-- player_daily_cache: a player's form in the season up to a date, for the players of that date.
--
-- Rows      players of the date with at least 3 earlier games in the same season (season_year): before today the players of
--           player_game_summary, today and later the roster, see _upcoming_roster.sql.
-- Source    that of the player's row in player_composite_factors: UPCG or PGS_SYNTHETIC
-- Windows   games he appeared in, same season, before the date, at most {player_game_summary.lookback} days back (longer
--           than any season); of these the last 5 or 10 where the name says so. Followed by universal_player_id.
--
-- points_avg_*, minutes_avg_*   per game
-- points_std_last_10            sample standard deviation of points, from integer sums:
--                               SQRT((n * SUM(x^2) - SUM(x)^2) / (n * (n - 1)))
-- usage_rate_last_10            mean usage rate of those of the 10 games that have one
-- primary_scoring_zone          from player_shot_zone_analysis; shot_zone_data_available says whether it had a row
-- fatigue_score                 from player_composite_factors
--
-- Method as in player_composite_factors: differences of integer running totals.

WITH roster AS (
{include upcoming_roster}
),

timeline AS (
  SELECT
    game_id,
    game_date,
    UNIX_DATE(game_date) AS day,
    universal_player_id,
    player_lookup,
    season_year,
    team_abbr,
    IF(is_active, 1, 0) AS played,
    IF(is_active, points, 0) AS points,
    IF(is_active, points * points, 0) AS points_squared,
    IF(is_active, IFNULL(CAST(ROUND(minutes_played * 10) AS INT64), 0), 0) AS minute_tenths,
    IF(is_active AND usage_rate IS NOT NULL, 1, 0) AS usage_known,
    IF(is_active, IFNULL(CAST(ROUND(usage_rate * 10) AS INT64), 0), 0) AS usage_tenths,
    game_date < @today AND game_date IN UNNEST(@dates) AS is_target
  FROM {player_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@first, INTERVAL {player_game_summary.lookback} DAY) AND @last
  UNION ALL
  SELECT
    game_id,
    game_date,
    UNIX_DATE(game_date) AS day,
    universal_player_id,
    player_lookup,
    season_year,
    team_abbr,
    0 AS played,
    0 AS points,
    0 AS points_squared,
    0 AS minute_tenths,
    0 AS usage_known,
    0 AS usage_tenths,
    TRUE AS is_target
  FROM roster
  WHERE game_date IN UNNEST(@dates)
),

totals_before AS (
  SELECT
    *,
    SUM(played) OVER before AS games_before,
    SUM(points) OVER before AS points_before,
    SUM(points_squared) OVER before AS points_squared_before,
    SUM(minute_tenths) OVER before AS minute_tenths_before,
    SUM(usage_known) OVER before AS usage_known_before,
    SUM(usage_tenths) OVER before AS usage_tenths_before,
    SUM(played) OVER look_back AS games_played_season
  FROM timeline
  WINDOW
    before AS (
      PARTITION BY universal_player_id, season_year ORDER BY day RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
    look_back AS (
      PARTITION BY universal_player_id, season_year ORDER BY day
      RANGE BETWEEN {player_game_summary.lookback} PRECEDING AND 1 PRECEDING)
),

totals_by_game AS (
  SELECT
    universal_player_id,
    season_year,
    SUM(played) OVER so_far AS game_number,
    SUM(points) OVER so_far AS points_so_far,
    SUM(points_squared) OVER so_far AS points_squared_so_far,
    SUM(minute_tenths) OVER so_far AS minute_tenths_so_far,
    SUM(usage_known) OVER so_far AS usage_known_so_far,
    SUM(usage_tenths) OVER so_far AS usage_tenths_so_far
  FROM timeline
  WHERE played = 1
  WINDOW so_far AS (
    PARTITION BY universal_player_id, season_year ORDER BY day, game_id
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

form AS (
  SELECT
    target.game_id,
    target.game_date,
    target.universal_player_id,
    target.player_lookup,
    target.season_year,
    target.team_abbr,
    target.games_played_season,
    LEAST(5, target.games_played_season) AS games_5,
    LEAST(10, target.games_played_season) AS games_10,
    target.points_before - IFNULL(season.points_so_far, 0) AS points_season,
    target.minute_tenths_before - IFNULL(season.minute_tenths_so_far, 0) AS minute_tenths_season,
    target.points_before - IFNULL(five.points_so_far, 0) AS points_5,
    target.points_before - IFNULL(ten.points_so_far, 0) AS points_10,
    target.points_squared_before - IFNULL(ten.points_squared_so_far, 0) AS points_squared_10,
    target.minute_tenths_before - IFNULL(ten.minute_tenths_so_far, 0) AS minute_tenths_10,
    target.usage_known_before - IFNULL(ten.usage_known_so_far, 0) AS usage_known_10,
    target.usage_tenths_before - IFNULL(ten.usage_tenths_so_far, 0) AS usage_tenths_10
  FROM totals_before AS target
  LEFT JOIN totals_by_game AS season
    ON season.universal_player_id = target.universal_player_id
    AND season.season_year = target.season_year
    AND season.game_number = target.games_before - target.games_played_season
  LEFT JOIN totals_by_game AS five
    ON five.universal_player_id = target.universal_player_id
    AND five.season_year = target.season_year
    AND five.game_number = target.games_before - LEAST(5, target.games_played_season)
  LEFT JOIN totals_by_game AS ten
    ON ten.universal_player_id = target.universal_player_id
    AND ten.season_year = target.season_year
    AND ten.game_number = target.games_before - LEAST(10, target.games_played_season)
  WHERE target.is_target
    AND target.games_played_season >= 3
),

zones AS (
  SELECT analysis_date, universal_player_id, primary_scoring_zone
  FROM {player_shot_zone_analysis}
  WHERE analysis_date IN UNNEST(@dates)
    AND analysis_date BETWEEN @first AND @last
),

factors AS (
  SELECT game_date, game_id, player_lookup, fatigue_score, data_source
  FROM {player_composite_factors}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
)

SELECT
  form.game_date AS cache_date,
  form.player_lookup,
  form.universal_player_id,
  form.season_year,
  form.team_abbr,
  form.games_played_season,
  ROUND(form.points_season / form.games_played_season, 2) AS points_avg_season,
  ROUND(form.minute_tenths_season / (10 * form.games_played_season), 2) AS minutes_avg_season,
  ROUND(form.points_5 / form.games_5, 2) AS points_avg_last_5,
  ROUND(form.points_10 / form.games_10, 2) AS points_avg_last_10,
  ROUND(form.minute_tenths_10 / (10 * form.games_10), 2) AS minutes_avg_last_10,
  ROUND(SQRT(
    (form.games_10 * form.points_squared_10 - form.points_10 * form.points_10)
    / (form.games_10 * (form.games_10 - 1))), 2) AS points_std_last_10,
  ROUND(SAFE_DIVIDE(form.usage_tenths_10, 10 * form.usage_known_10), 2) AS usage_rate_last_10,
  zones.primary_scoring_zone,
  zones.universal_player_id IS NOT NULL AS shot_zone_data_available,
  factors.fatigue_score,
  IFNULL(factors.data_source, 'PGS_SYNTHETIC') AS data_source
FROM form
LEFT JOIN zones
  ON zones.analysis_date = form.game_date AND zones.universal_player_id = form.universal_player_id
LEFT JOIN factors
  ON factors.game_date = form.game_date
  AND factors.game_id = form.game_id
  AND factors.player_lookup = form.player_lookup
