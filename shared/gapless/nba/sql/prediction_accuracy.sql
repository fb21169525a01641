-- prediction_accuracy: each prediction against what the player scored. Only players who appeared are graded: a player on the
-- bench did not score fewer points than predicted, he did not play.
--
-- signed_error         predicted minus actual points; positive is too high. absolute_error is its size.
-- line_value           the line that the prediction was made against
-- prediction_correct   for OVER and UNDER whether the points fell on that side of the line; NULL for PASS and NO_LINE, which
--                      claim nothing, and for a push (points equal to the line)
-- graded_at            is filled at publication

WITH predictions AS (
  SELECT
    *,
    CAST(ROUND(predicted_points * 10) AS INT64) AS predicted_tenths
  FROM {player_prop_predictions}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
    AND game_date < @today
),

appearances AS (
  SELECT game_date, game_id, player_lookup, points
  FROM {player_game_summary}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
    AND game_date < @today
    AND is_active
)

SELECT
  prediction.player_lookup,
  prediction.game_id,
  prediction.game_date,
  prediction.system_id,
  prediction.season_year,
  prediction.current_points_line AS line_value,
  prediction.predicted_points,
  actual.points AS actual_points,
  ROUND(ABS(prediction.predicted_tenths - 10 * actual.points) / 10, 1) AS absolute_error,
  ROUND((prediction.predicted_tenths - 10 * actual.points) / 10, 1) AS signed_error,
  prediction.recommendation,
  CASE
    WHEN actual.points = prediction.current_points_line THEN NULL
    WHEN prediction.recommendation = 'OVER' THEN actual.points > prediction.current_points_line
    WHEN prediction.recommendation = 'UNDER' THEN actual.points < prediction.current_points_line
  END AS prediction_correct,
  'BOXSCORE' AS data_source
FROM predictions AS prediction
JOIN appearances AS actual
  ON actual.game_date = prediction.game_date
  AND actual.game_id = prediction.game_id
  AND actual.player_lookup = prediction.player_lookup
