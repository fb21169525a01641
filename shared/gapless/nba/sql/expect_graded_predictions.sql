-- expect_graded_predictions: every prediction for a date before today whose player appeared in the game.

SELECT
  prediction.player_lookup,
  prediction.game_id,
  prediction.system_id,
  prediction.game_date
FROM {player_prop_predictions} AS prediction
JOIN {player_game_summary} AS actual
  ON actual.game_date = prediction.game_date
  AND actual.game_id = prediction.game_id
  AND actual.player_lookup = prediction.player_lookup
WHERE prediction.game_date BETWEEN @first AND @last
  AND actual.game_date BETWEEN @first AND @last
  AND prediction.game_date < @today
  AND actual.is_active
