-- expect_player_prop_predictions: one prediction for every quality-ready feature row whose player appeared (before today) or
-- is expected to play (today and later). A feature row of a player who then stayed away is left over from the forecast and
-- asks for nothing.

WITH players AS (
  SELECT game_date, game_id, player_lookup
  FROM {player_game_summary}
  WHERE game_date BETWEEN @first AND @last
    AND game_date < @today
  UNION ALL
  SELECT game_date, game_id, player_lookup
  FROM {upcoming_player_game_context}
  WHERE game_date BETWEEN GREATEST(@first, @today) AND @last
)

SELECT
  features.game_id,
  features.player_lookup,
  features.game_date
FROM {ml_feature_store_v2} AS features
JOIN players
  ON players.game_date = features.game_date
  AND players.game_id = features.game_id
  AND players.player_lookup = features.player_lookup
WHERE features.game_date BETWEEN @first AND @last
  AND features.is_quality_ready
