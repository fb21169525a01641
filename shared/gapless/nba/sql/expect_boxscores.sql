-- expect_boxscores: the games that should have box scores: Final, or not postponed and played before yesterday, when every
-- game has long ended whatever the schedule still says.
--
-- game_id is in analytics form YYYYMMDD_AWAY_HOME, built from the schedule's teams; the schedule's own ids never join.
-- A game takes place once: of the rows with its game_id the one that is Final, else one that is not postponed, else the
-- latest date. The schedule is read 400 days to both sides because a game's other date may lie outside the range.
-- The same rule as calendar.sql.

WITH entries AS (
  SELECT
    game_id,
    game_date,
    away_team_tricode,
    home_team_tricode,
    MAX(game_status) = 3 AS is_final,
    MAX(game_status) < 3
      AND LOGICAL_OR(REGEXP_CONTAINS(game_status_text, r'(?i)^(postponed|ppd|cancel)')) AS is_postponed
  FROM {schedule}
  WHERE game_date BETWEEN DATE_SUB(@first, INTERVAL 400 DAY) AND DATE_ADD(@last, INTERVAL 400 DAY)
    AND NOT is_all_star
    AND SUBSTR(game_id, 1, 3) NOT IN ('001', '003')  -- preseason and all-star games
  GROUP BY game_id, game_date, away_team_tricode, home_team_tricode
),

effective AS (
  SELECT
    *,
    NOT is_postponed AND ROW_NUMBER() OVER (
      PARTITION BY game_id ORDER BY is_final DESC, is_postponed, game_date DESC, home_team_tricode, away_team_tricode
    ) = 1 AS takes_place
  FROM entries
)

SELECT DISTINCT
  CONCAT(FORMAT_DATE('%Y%m%d', game_date), '_', away_team_tricode, '_', home_team_tricode) AS game_id,
  game_date
FROM effective
WHERE takes_place
  AND game_date BETWEEN @first AND @last
  AND (is_final OR game_date < DATE_SUB(@today, INTERVAL 1 DAY))
