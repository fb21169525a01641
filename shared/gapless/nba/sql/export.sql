-- export: two JSON documents for each date that was played, as a web site or an app would fetch them.
--
-- results       {"game_date", "export_type", "record_count", "players": [...]}: one entry for each player who appeared
-- predictions   {"game_date", "export_type", "record_count", "predictions": [...]}: one entry for each prediction, with its
--               grade where there is one
--
-- Entries are ordered by game and player, so that the same rows give the same bytes. Both documents are written even when
-- their array is empty: a reader can tell "nothing to say" from "not exported". record_count is the length of the array.
-- Every field of a STRUCT is named, `x AS x`: the emulator loses the name of a plain column inside ARRAY_AGG.

WITH appearances AS (
  SELECT
    game_date,
    game_id,
    player_lookup,
    player_full_name,
    team_abbr,
    opponent_team_abbr,
    home_game,
    win_flag,
    CAST(minutes_played AS FLOAT64) AS minutes_played,
    points,
    rebounds,
    assists,
    steals,
    blocks,
    turnovers,
    is_active
  FROM {player_game_summary}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN @first AND @last
    AND game_date < @today
),

played_days AS (
  SELECT DISTINCT game_date FROM appearances
),

results AS (
  SELECT
    game_date,
    COUNT(*) AS record_count,
    TO_JSON_STRING(STRUCT(
      game_date AS game_date,
      'results' AS export_type,
      COUNT(*) AS record_count,
      ARRAY_AGG(STRUCT(
        game_id AS game_id,
        player_lookup AS player_lookup,
        player_full_name AS player_full_name,
        team_abbr AS team_abbr,
        opponent_team_abbr AS opponent_team_abbr,
        home_game AS home_game,
        win_flag AS win_flag,
        minutes_played AS minutes_played,
        points AS points,
        rebounds AS rebounds,
        assists AS assists,
        steals AS steals,
        blocks AS blocks,
        turnovers AS turnovers
      ) ORDER BY game_id, player_lookup) AS players)) AS payload
  FROM appearances
  WHERE is_active
  GROUP BY game_date
),

graded_predictions AS (
  SELECT
    prediction.game_date,
    prediction.game_id,
    prediction.player_lookup,
    prediction.system_id,
    prediction.team_abbr,
    prediction.opponent_team_abbr,
    CAST(prediction.predicted_points AS FLOAT64) AS predicted_points,
    CAST(prediction.current_points_line AS FLOAT64) AS current_points_line,
    CAST(prediction.confidence_score AS FLOAT64) AS confidence_score,
    prediction.recommendation,
    grade.actual_points,
    grade.prediction_correct
  FROM {player_prop_predictions} AS prediction
  LEFT JOIN (
    SELECT game_date, game_id, player_lookup, system_id, actual_points, prediction_correct
    FROM {prediction_accuracy}
    WHERE game_date IN UNNEST(@dates)
      AND game_date BETWEEN @first AND @last
  ) AS grade
    ON grade.game_date = prediction.game_date
    AND grade.game_id = prediction.game_id
    AND grade.player_lookup = prediction.player_lookup
    AND grade.system_id = prediction.system_id
  WHERE prediction.game_date IN UNNEST(@dates)
    AND prediction.game_date BETWEEN @first AND @last
    AND prediction.game_date < @today
),

predictions AS (
  SELECT
    game_date,
    COUNT(*) AS record_count,
    TO_JSON_STRING(STRUCT(
      game_date AS game_date,
      'predictions' AS export_type,
      COUNT(*) AS record_count,
      ARRAY_AGG(STRUCT(
        game_id AS game_id,
        player_lookup AS player_lookup,
        system_id AS system_id,
        team_abbr AS team_abbr,
        opponent_team_abbr AS opponent_team_abbr,
        predicted_points AS predicted_points,
        current_points_line AS current_points_line,
        confidence_score AS confidence_score,
        recommendation AS recommendation,
        actual_points AS actual_points,
        prediction_correct AS prediction_correct
      ) ORDER BY game_id, player_lookup, system_id) AS predictions)) AS payload
  FROM graded_predictions
  GROUP BY game_date
)

SELECT
  played_days.game_date,
  'results' AS export_type,
  IFNULL(results.record_count, 0) AS record_count,
  IFNULL(results.payload, CONCAT(
    '{"game_date":"', CAST(played_days.game_date AS STRING), '","export_type":"results","record_count":0,"players":[]}'))
    AS payload,
  'EXPORT' AS data_source
FROM played_days
LEFT JOIN results
  ON results.game_date = played_days.game_date
UNION ALL
SELECT
  played_days.game_date,
  'predictions' AS export_type,
  IFNULL(predictions.record_count, 0) AS record_count,
  IFNULL(predictions.payload, CONCAT(
    '{"game_date":"', CAST(played_days.game_date AS STRING),
    '","export_type":"predictions","record_count":0,"predictions":[]}')) AS payload,
  'EXPORT' AS data_source
FROM played_days
LEFT JOIN predictions
  ON predictions.game_date = played_days.game_date
