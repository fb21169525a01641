-- team_defense_zone_analysis: how each team has defended in its 15 most recent games before a date.
--
-- Rows      every team with at least 5 games in the {team_defense_game_summary.lookback} days before a date with games
--           (below 5 games a rating is mostly noise; 5 is reached about ten days into a season).
-- Window    the 15 most recent of those games; the date's own games are never part of it.
--
-- points_allowed_last_15         points allowed per game
-- defensive_rating_last_15       points allowed per 100 possessions of the opponents; 0 when possessions are unknown
-- opp_field_goal_pct_last_15     opponents' made / attempted field goals, 0..1; likewise two-point and three-point shots
-- opp_three_point_rate_last_15   share of the opponents' attempts that were threes, 0..1
-- opp_free_throw_rate_last_15    opponents' free throw attempts per field goal attempt, 0..2
-- opp_possessions_last_15        opponents' possessions per game
-- defense_rank                   1 is the lowest defensive rating among the teams with a row; equal ratings share a rank
-- weakest_zone                   two_point, three_point or free_throw: where the opponents' figure (two-point percentage,
--                                three-point percentage, free throw rate) is highest relative to the same figure of all
--                                teams with a row on that date. On a tie the first in this order.
-- is_production_ready            the window is full (15 games)
--
-- Method: a team's window changes only when it plays or when its oldest game leaves the look-back. So each window is found
-- once, with the dates on which it holds (after_date, until_date], as a difference of two running totals; no date reads
-- its games again. Totals are integers: the difference is exact, whatever range of dates was read.

WITH games AS (
  SELECT
    defending_team_abbr AS team_abbr,
    game_date,
    points_allowed AS points,
    opp_possessions AS possessions,
    IFNULL(opp_field_goals_made, 0) AS field_goals_made,
    IFNULL(opp_field_goals_attempted, 0) AS field_goals_attempted,
    IFNULL(opp_three_pointers_made, 0) AS threes_made,
    IFNULL(opp_three_pointers_attempted, 0) AS threes_attempted,
    IFNULL(opp_free_throws_attempted, 0) AS free_throws_attempted,
    ROW_NUMBER() OVER (PARTITION BY defending_team_abbr ORDER BY game_date, game_id) AS game_number
  FROM {team_defense_game_summary}
  WHERE game_date
    BETWEEN DATE_SUB(@first, INTERVAL {team_defense_game_summary.lookback} DAY) AND DATE_SUB(@last, INTERVAL 1 DAY)
),

running_totals AS (
  SELECT
    team_abbr,
    game_number,
    SUM(points) OVER so_far AS points,
    SUM(possessions) OVER so_far AS possessions,
    SUM(field_goals_made) OVER so_far AS field_goals_made,
    SUM(field_goals_attempted) OVER so_far AS field_goals_attempted,
    SUM(threes_made) OVER so_far AS threes_made,
    SUM(threes_attempted) OVER so_far AS threes_attempted,
    SUM(free_throws_attempted) OVER so_far AS free_throws_attempted
  FROM games
  WINDOW so_far AS (PARTITION BY team_abbr ORDER BY game_number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

-- A game enters the look-back on the day after it was played and leaves it {team_defense_game_summary.lookback} days later.
changes AS (
  SELECT team_abbr, game_date AS day, game_number, 1 AS entered, 0 AS departed
  FROM games
  UNION ALL
  SELECT team_abbr, DATE_ADD(game_date, INTERVAL {team_defense_game_summary.lookback} DAY) AS day, game_number, 0 AS entered, 1 AS departed
  FROM games
),

in_reach AS (
  SELECT
    team_abbr,
    day AS after_date,
    IFNULL(LEAD(day) OVER (PARTITION BY team_abbr ORDER BY day, entered, game_number), @last) AS until_date,
    SUM(entered) OVER so_far AS games_entered,
    SUM(departed) OVER so_far AS games_departed
  FROM changes
  WINDOW so_far AS (
    PARTITION BY team_abbr ORDER BY day, entered, game_number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

windows AS (
  SELECT
    in_reach.after_date,
    in_reach.until_date,
    latest.team_abbr,
    LEAST(15, in_reach.games_entered - in_reach.games_departed) AS games,
    latest.points - IFNULL(dropped.points, 0) AS points,
    latest.possessions - IFNULL(dropped.possessions, 0) AS possessions,
    latest.field_goals_made - IFNULL(dropped.field_goals_made, 0) AS field_goals_made,
    latest.field_goals_attempted - IFNULL(dropped.field_goals_attempted, 0) AS field_goals_attempted,
    latest.threes_made - IFNULL(dropped.threes_made, 0) AS threes_made,
    latest.threes_attempted - IFNULL(dropped.threes_attempted, 0) AS threes_attempted,
    latest.free_throws_attempted - IFNULL(dropped.free_throws_attempted, 0) AS free_throws_attempted
  FROM in_reach
  JOIN running_totals AS latest
    ON latest.team_abbr = in_reach.team_abbr
    AND latest.game_number = in_reach.games_entered
  LEFT JOIN running_totals AS dropped
    ON dropped.team_abbr = in_reach.team_abbr
    AND dropped.game_number = GREATEST(in_reach.games_entered - 15, in_reach.games_departed)
  WHERE in_reach.after_date < in_reach.until_date
    AND in_reach.games_entered - in_reach.games_departed >= 5
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
    WHERE game_date IN UNNEST(@dates)
      AND game_date BETWEEN @first AND @last
      AND NOT is_all_star
      AND SUBSTR(game_id, 1, 3) NOT IN ('001', '003')  -- preseason and all-star games
    GROUP BY game_id, game_date
  )
  WHERE game_status = 3 OR (NOT is_postponed AND game_date >= @today)
),

team_days AS (
  SELECT
    game_days.game_date AS analysis_date,
    windows.*,
    ROUND(IFNULL(SAFE_DIVIDE(100 * windows.points, windows.possessions), 0), 2) AS defensive_rating,
    SUM(field_goals_made - threes_made) OVER same_day AS league_twos_made,
    SUM(field_goals_attempted - threes_attempted) OVER same_day AS league_twos_attempted,
    SUM(threes_made) OVER same_day AS league_threes_made,
    SUM(threes_attempted) OVER same_day AS league_threes_attempted,
    SUM(free_throws_attempted) OVER same_day AS league_free_throws_attempted,
    SUM(field_goals_attempted) OVER same_day AS league_field_goals_attempted
  FROM windows
  CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(DATE_ADD(windows.after_date, INTERVAL 1 DAY), windows.until_date)) AS day
  JOIN game_days
    ON game_days.game_date = day
  WINDOW same_day AS (PARTITION BY game_days.game_date)
),

-- How much more the opponents got out of a zone than they get from the league: 1.0 is average. The largest integer here,
-- a product of two season-sized counts, is far below 2^53, so the quotients are exact inputs to a comparison.
compared AS (
  SELECT
    *,
    IFNULL(SAFE_DIVIDE(
      (field_goals_made - threes_made) * league_twos_attempted,
      (field_goals_attempted - threes_attempted) * league_twos_made), 0) AS two_point,
    IFNULL(SAFE_DIVIDE(threes_made * league_threes_attempted, threes_attempted * league_threes_made), 0) AS three_point,
    IFNULL(SAFE_DIVIDE(
      free_throws_attempted * league_field_goals_attempted,
      field_goals_attempted * league_free_throws_attempted), 0) AS free_throw
  FROM team_days
)

SELECT
  analysis_date,
  team_abbr,
  games AS games_in_sample,
  ROUND(points / games, 1) AS points_allowed_last_15,
  defensive_rating AS defensive_rating_last_15,
  ROUND(SAFE_DIVIDE(field_goals_made, field_goals_attempted), 4) AS opp_field_goal_pct_last_15,
  ROUND(SAFE_DIVIDE(field_goals_made - threes_made, field_goals_attempted - threes_attempted), 4)
    AS opp_two_point_pct_last_15,
  ROUND(SAFE_DIVIDE(threes_made, threes_attempted), 4) AS opp_three_point_pct_last_15,
  ROUND(SAFE_DIVIDE(threes_attempted, field_goals_attempted), 4) AS opp_three_point_rate_last_15,
  LEAST(2, ROUND(SAFE_DIVIDE(free_throws_attempted, field_goals_attempted), 4)) AS opp_free_throw_rate_last_15,
  ROUND(possessions / games, 1) AS opp_possessions_last_15,
  RANK() OVER (PARTITION BY analysis_date ORDER BY defensive_rating) AS defense_rank,
  CASE GREATEST(two_point, three_point, free_throw)
    WHEN two_point THEN 'two_point'
    WHEN three_point THEN 'three_point'
    ELSE 'free_throw'
  END AS weakest_zone,
  games = 15 AS is_production_ready,
  'BOXSCORE' AS data_source
FROM compared
