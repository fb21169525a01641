-- expect_team_defense_zones: every team with at least 5 games in the {team_defense_game_summary.lookback} days before each date with games.
--
-- After each of its games a team has 5 games in reach for as long as the fifth most recent one is at most {team_defense_game_summary.lookback} days old.
-- That gives an interval of dates per game, joined to the dates with games; no window is counted again.

WITH covered_days AS (
  SELECT
    defending_team_abbr AS team_abbr,
    game_date AS after_date,
    LEAST(
      IFNULL(LEAD(game_date) OVER (PARTITION BY defending_team_abbr ORDER BY game_date, game_id), @last),
      DATE_ADD(LAG(game_date, 4) OVER (PARTITION BY defending_team_abbr ORDER BY game_date, game_id), INTERVAL {team_defense_game_summary.lookback} DAY)
    ) AS until_date
  FROM {team_defense_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@first, INTERVAL {team_defense_game_summary.lookback} DAY) AND DATE_SUB(@last, INTERVAL 1 DAY)
),

game_days AS (
  SELECT DISTINCT game_date
  FROM (
    SELECT
      game_id,
      game_date,
      MAX(game_status) AS game_status,
      LOGICAL_OR(REGEXP_CONTAINS(game_status_text, r'(?i)^(postponed|ppd|cancel)')) AS is_postponed
    FROM {schedule}
    WHERE game_date BETWEEN @first AND @last
      AND NOT is_all_star
      AND SUBSTR(game_id, 1, 3) NOT IN ('001', '003')  -- preseason and all-star games
    GROUP BY game_id, game_date
  )
  WHERE game_status = 3 OR (NOT is_postponed AND game_date >= @today)
)

SELECT
  game_days.game_date AS analysis_date,
  covered_days.team_abbr
FROM covered_days
CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(DATE_ADD(covered_days.after_date, INTERVAL 1 DAY), covered_days.until_date)) AS day
JOIN game_days
  ON game_days.game_date = day
