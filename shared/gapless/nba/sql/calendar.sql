-- calendar: one row for each date that has a game or a postponed one.
--
-- scheduled     games that take place on this date. A game takes place once: of the rows with its game_id the one that is
--               Final, else one that is not postponed, else the latest date. So a row that a new date has superseded
--               counts nowhere, whether or not its status says 'Postponed' (NBA keeps the game_id when it moves a game).
-- final         those that have ended (game_status 3)
-- opening_day   first date of the date's regular season, from all its schedule rows up to 400 days back
-- last_start    latest tip-off of the scheduled games; NULL when the source has no times
--
-- A date whose games were all moved has scheduled = 0. Preseason and all-star games do not count.
-- The schedule is read 400 days to both sides: a game's other date may lie outside the range.

WITH entries AS (
  SELECT
    game_id,
    game_date,
    MAX(season_year) AS season_year,
    LOGICAL_OR(is_regular_season) AS is_regular_season,
    MAX(game_status) = 3 AS is_final,
    MAX(game_status) < 3
      AND LOGICAL_OR(REGEXP_CONTAINS(game_status_text, r'(?i)^(postponed|ppd|cancel)')) AS is_postponed,
    MAX(tipoff_utc) AS tipoff_utc
  FROM {schedule}
  WHERE game_date BETWEEN DATE_SUB(@first, INTERVAL 400 DAY) AND DATE_ADD(@last, INTERVAL 400 DAY)
    AND NOT is_all_star
    AND SUBSTR(game_id, 1, 3) NOT IN ('001', '003')  -- preseason and all-star games
  GROUP BY game_id, game_date
),

effective AS (
  SELECT
    *,
    NOT is_postponed AND ROW_NUMBER() OVER (
      PARTITION BY game_id ORDER BY is_final DESC, is_postponed, game_date DESC) = 1 AS takes_place
  FROM entries
),

seasons AS (
  SELECT season_year, MIN(game_date) AS opening_day
  FROM entries
  WHERE is_regular_season
  GROUP BY season_year
)

SELECT
  effective.game_date AS date,
  COUNTIF(effective.takes_place) AS scheduled,
  COUNTIF(effective.takes_place AND effective.is_final) AS final,
  MIN(seasons.opening_day) AS opening_day,
  MAX(IF(effective.takes_place, effective.tipoff_utc, NULL)) AS last_start
FROM effective
LEFT JOIN seasons
  ON seasons.season_year = effective.season_year
WHERE effective.game_date BETWEEN @first AND @last
GROUP BY effective.game_date
