-- ml_feature_store_v2: one feature row for each row of player_composite_factors, complete enough for a model to read.
--
-- Sources   factors (rest, opponent, matchup, usage, pace) from player_composite_factors, form from player_daily_cache, zone
--           rates from player_shot_zone_analysis, the opponent's rating from team_defense_zone_analysis; players are joined
--           on universal_player_id.
-- Defaults  a feature without a value gets the league's typical one, so that a model never meets NULL: 10 points a game with
--           a deviation of 5.5, 22 minutes, 18 % usage, 2 days of rest, 45 / 14 / 41 % of shots from paint, mid-range and
--           three, a defensive rating of 112.
--
-- required_default_count   of the 12 required features (the 3 point averages, their deviation, minutes, usage, days of rest,
--                          the 3 zone rates, opponent rating, opponent strength) those that had to be filled; an opponent
--                          strength of 0 counts as filled
-- feature_quality_score    100 * (12 - required_default_count) / 12
-- is_quality_ready         the player has at least 3 earlier games in the season, that is, player_daily_cache has a row;
--                          only such rows get a prediction
-- data_source              PGS_SYNTHETIC or UPCG, as in player_composite_factors

WITH factors AS (
  SELECT *
  FROM {player_composite_factors}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
),

form AS (
  SELECT *
  FROM {player_daily_cache}
  WHERE cache_date IN UNNEST(@dates)
    AND cache_date BETWEEN @first AND @last
),

zones AS (
  SELECT analysis_date, universal_player_id, paint_rate, mid_range_rate, three_point_rate
  FROM {player_shot_zone_analysis}
  WHERE analysis_date IN UNNEST(@dates)
    AND analysis_date BETWEEN @first AND @last
),

defences AS (
  SELECT analysis_date, team_abbr, NULLIF(defensive_rating_last_15, 0) AS rating
  FROM {team_defense_zone_analysis}
  WHERE analysis_date IN UNNEST(@dates)
    AND analysis_date BETWEEN @first AND @last
),

features AS (
  SELECT
    factors.game_id,
    factors.player_lookup,
    factors.game_date,
    factors.universal_player_id,
    factors.season_year,
    factors.team_abbr,
    factors.opponent_team_abbr,
    factors.fatigue_score,
    factors.opponent_strength_score,
    factors.matchup_score,
    factors.usage_score,
    factors.pace_score,
    factors.home_game,
    factors.days_rest,
    factors.data_source,
    form.games_played_season,
    form.points_avg_last_5,
    form.points_avg_last_10,
    form.points_avg_season,
    form.points_std_last_10,
    form.minutes_avg_last_10,
    form.usage_rate_last_10,
    zones.paint_rate,
    zones.mid_range_rate,
    zones.three_point_rate,
    defences.rating AS opponent_defensive_rating,
    IF(form.points_avg_last_5 IS NULL, 1, 0)
      + IF(form.points_avg_last_10 IS NULL, 1, 0)
      + IF(form.points_avg_season IS NULL, 1, 0)
      + IF(form.points_std_last_10 IS NULL, 1, 0)
      + IF(form.minutes_avg_last_10 IS NULL, 1, 0)
      + IF(form.usage_rate_last_10 IS NULL, 1, 0)
      + IF(factors.days_rest IS NULL, 1, 0)
      + IF(zones.paint_rate IS NULL, 1, 0)
      + IF(zones.mid_range_rate IS NULL, 1, 0)
      + IF(zones.three_point_rate IS NULL, 1, 0)
      + IF(defences.rating IS NULL, 1, 0)
      + IF(factors.opponent_strength_score = 0, 1, 0) AS defaults
  FROM factors
  LEFT JOIN form
    ON form.cache_date = factors.game_date AND form.universal_player_id = factors.universal_player_id
  LEFT JOIN zones
    ON zones.analysis_date = factors.game_date AND zones.universal_player_id = factors.universal_player_id
  LEFT JOIN defences
    ON defences.analysis_date = factors.game_date AND defences.team_abbr = factors.opponent_team_abbr
)

SELECT
  game_id,
  player_lookup,
  game_date,
  universal_player_id,
  season_year,
  team_abbr,
  opponent_team_abbr,
  'v2_gapless_1' AS feature_version,
  IFNULL(games_played_season, 0) AS games_played_season,
  IFNULL(points_avg_last_5, 10) AS points_avg_last_5,
  IFNULL(points_avg_last_10, 10) AS points_avg_last_10,
  IFNULL(points_avg_season, 10) AS points_avg_season,
  IFNULL(points_std_last_10, 5.5) AS points_std_last_10,
  IFNULL(minutes_avg_last_10, 22) AS minutes_avg_last_10,
  IFNULL(usage_rate_last_10, 18) AS usage_rate_last_10,
  fatigue_score,
  opponent_strength_score,
  matchup_score,
  usage_score,
  pace_score,
  home_game,
  IFNULL(days_rest, 2) AS days_rest,
  IFNULL(paint_rate, 0.45) AS paint_rate,
  IFNULL(mid_range_rate, 0.14) AS mid_range_rate,
  IFNULL(three_point_rate, 0.41) AS three_point_rate,
  IFNULL(opponent_defensive_rating, 112) AS opponent_defensive_rating,
  defaults AS required_default_count,
  ROUND(100 * (12 - defaults) / 12, 2) AS feature_quality_score,
  games_played_season IS NOT NULL AS is_quality_ready,
  data_source
FROM features
