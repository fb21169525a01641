-- player_prop_predictions: one points prediction for each quality-ready feature row. The baseline system: arithmetic on
-- rolling form that any model has to beat, and that needs no model file.
--
-- predicted_points      form * adjustment, 0..120, one decimal.
--                       form = 0.25 * last 5 + 0.25 * last 10 + 0.5 * season: averages of points. The season steadies, the
--                       last games follow a changed role; least squares over 104,778 player-games of 2021-22 to 2024-25
--                       gives 0.24, 0.23 and 0.53.
--                       adjustment = 1 - 0.15 * (opponent strength - 50) / 100   a good defence costs points
--                                      + 0.15 * (pace - 50) / 100                more possessions, more points
--                                      + 0.01 at home, - 0.01 away
--                                      - 0.05 after 4 or more days off, - 0.1 after 14: who returns from an injury plays
--                                        less. Nothing for a back-to-back: the same four seasons show no loss.
-- confidence_score      feature quality minus 4 for each point of deviation of the player's last 10 games, 0..100: a steady
--                       scorer with all features known comes close to 100
-- current_points_line   the consensus line: the median of the books' two-sided lines, the lower of the middle two when their
--                       number is even, so that it is always a line somebody offers. One-sided quotes are promotions and
--                       would pull it down. NULL when no book has one.
-- recommendation        OVER or UNDER when prediction and line differ by at least 1.5 points, else PASS; NO_LINE without one.
--                       1.5: about a third of the mean absolute error; below it the difference says nothing.
-- prediction_id         system, game, player and version, so that a repeated run writes the same prediction
-- is_active             TRUE: the system publishes it

WITH features AS (
  SELECT
    *,
    CAST(points_avg_last_5 AS FLOAT64) AS last_5,
    CAST(points_avg_last_10 AS FLOAT64) AS last_10,
    CAST(points_avg_season AS FLOAT64) AS season,
    CAST(points_std_last_10 AS FLOAT64) AS deviation,
    CAST(feature_quality_score AS FLOAT64) AS quality
  FROM {ml_feature_store_v2}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
    AND is_quality_ready
),

predictions AS (
  SELECT
    *,
    LEAST(120, GREATEST(0, ROUND(
      (0.25 * last_5 + 0.25 * last_10 + 0.5 * season)
      * (1
        - 0.15 * (opponent_strength_score - 50) / 100
        + 0.15 * (pace_score - 50) / 100
        + IF(home_game, 0.01, -0.01)
        - CASE WHEN days_rest >= 14 THEN 0.1 WHEN days_rest >= 4 THEN 0.05 ELSE 0 END), 1))) AS predicted_points
  FROM features
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
    AND game_date BETWEEN @first AND @last
    AND (over_price IS NULL) = (under_price IS NULL)
)

SELECT
  CONCAT('rolling_form_', predictions.game_id, '_', predictions.player_lookup, '_v1') AS prediction_id,
  predictions.game_id,
  predictions.player_lookup,
  predictions.game_date,
  predictions.universal_player_id,
  predictions.season_year,
  predictions.team_abbr,
  predictions.opponent_team_abbr,
  'rolling_form' AS system_id,
  'v1' AS prediction_version,
  predictions.predicted_points,
  GREATEST(0, ROUND(predictions.quality - 4 * predictions.deviation, 2)) AS confidence_score,
  CASE
    WHEN consensus.points_line IS NULL THEN 'NO_LINE'
    WHEN predictions.predicted_points - consensus.points_line >= 1.5 THEN 'OVER'
    WHEN predictions.predicted_points - consensus.points_line <= -1.5 THEN 'UNDER'
    ELSE 'PASS'
  END AS recommendation,
  consensus.points_line AS current_points_line,
  TRUE AS is_active,
  predictions.data_source
FROM predictions
LEFT JOIN lines AS consensus
  ON consensus.game_id = predictions.game_id
  AND consensus.player_lookup = predictions.player_lookup
  AND consensus.line_number = DIV(consensus.line_count + 1, 2)
