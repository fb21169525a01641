-- expect_player_prop_predictions: one prediction for every quality-ready feature row, before today only of players who
-- appeared: a feature row of a player who then stayed away is left over from the forecast and asks for nothing.

SELECT
  features.game_id,
  features.player_lookup,
  features.game_date
FROM {ml_feature_store_v2} AS features
LEFT JOIN (
  SELECT game_date, game_id, player_lookup
  FROM {player_game_summary}
  WHERE game_date BETWEEN @first AND @last
) AS appeared
  ON appeared.game_date = features.game_date
  AND appeared.game_id = features.game_id
  AND appeared.player_lookup = features.player_lookup
WHERE features.game_date BETWEEN @first AND @last
  AND features.is_quality_ready
  AND (features.game_date >= @today OR appeared.player_lookup IS NOT NULL)
