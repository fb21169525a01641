-- player_shot_zone_analysis: where each player has taken his shots in his 10 most recent games before a date.
--
-- Rows      every player who appeared in at least 3 games in the {player_game_summary.lookback} days before a date with
--           games, whether he plays that day or not: the table is cumulative.
-- Window    the 10 most recent of those games; the date's own games are never part of it. A player is followed by
--           universal_player_id; player_lookup is the spelling of his latest game.
--
-- paint_rate, mid_range_rate, three_point_rate   shares of his field goal attempts; they add up to 1. NULL without attempts.
-- free_throw_rate         free throw attempts per field goal attempt
-- two_point_pct, three_point_pct   made / attempted, 0..1, from the box scores
-- primary_scoring_zone    paint, mid_range or three_point: where he scored most points; on a tie the first in this order,
--                         'none' without a field goal
-- shots_in_sample         attempts that the rates rest on
-- is_production_ready     the window is full (10 games)
-- data_source             SHOTS      shot records, when they cover at least half of the window's attempts. They come a few
--                                    days late and not for every season or the playoffs.
--                         BOX_SCORE  otherwise. A box score cannot tell a layup from a mid-range jumper: 80 % of two-point
--                                    attempts, and 85 % of those made, are counted as paint. In 435,921 shots of the
--                                    2022-23 and 2023-24 seasons it was 81 % and 85 %.
--
-- Method as in team_defense_zone_analysis: each window once, with the dates on which it holds, as a difference of integer
-- running totals. 833 dates of four seasons have 363,000 rows but only 123,000 windows.

WITH shots_by_game AS (
  SELECT
    nba_game_id,
    CAST(bdl_player_id AS STRING) AS universal_player_id,
    COUNT(*) AS attempts,
    COUNTIF(is_three) AS threes,
    COUNTIF(is_three AND is_made) AS threes_made,
    COUNTIF(NOT is_three AND basic_zone IN ('Restricted Area', 'In The Paint (Non-RA)')) AS paint,
    COUNTIF(NOT is_three AND basic_zone IN ('Restricted Area', 'In The Paint (Non-RA)') AND is_made) AS paint_made,
    COUNTIF(NOT is_three AND is_made) AS twos_made
  FROM {shots}
  WHERE game_date BETWEEN DATE_SUB(@first, INTERVAL {shots.lookback} DAY) AND DATE_SUB(@last, INTERVAL 1 DAY)
  GROUP BY nba_game_id, universal_player_id
),

games AS (
  SELECT
    played.universal_player_id,
    played.player_lookup,
    played.game_date,
    IFNULL(played.field_goals_made, 0) - IFNULL(played.three_pointers_made, 0) AS twos_made,
    IFNULL(played.field_goals_attempted, 0) - IFNULL(played.three_pointers_attempted, 0) AS twos,
    IFNULL(played.three_pointers_made, 0) AS threes_made,
    IFNULL(played.three_pointers_attempted, 0) AS threes,
    IFNULL(played.free_throws_attempted, 0) AS free_throws,
    IFNULL(shot.attempts, 0) AS shots,
    IFNULL(shot.threes, 0) AS shot_threes,
    IFNULL(shot.threes_made, 0) AS shot_threes_made,
    IFNULL(shot.paint, 0) AS shot_paint,
    IFNULL(shot.paint_made, 0) AS shot_paint_made,
    IFNULL(shot.twos_made, 0) AS shot_twos_made,
    ROW_NUMBER() OVER (PARTITION BY played.universal_player_id ORDER BY played.game_date, played.game_id) AS game_number
  FROM {player_game_summary} AS played
  LEFT JOIN shots_by_game AS shot
    ON shot.nba_game_id = played.nba_game_id AND shot.universal_player_id = played.universal_player_id
  WHERE played.game_date
    BETWEEN DATE_SUB(@first, INTERVAL {player_game_summary.lookback} DAY) AND DATE_SUB(@last, INTERVAL 1 DAY)
    AND played.is_active
),

running_totals AS (
  SELECT
    universal_player_id,
    player_lookup,
    game_number,
    SUM(twos_made) OVER so_far AS twos_made,
    SUM(twos) OVER so_far AS twos,
    SUM(threes_made) OVER so_far AS threes_made,
    SUM(threes) OVER so_far AS threes,
    SUM(free_throws) OVER so_far AS free_throws,
    SUM(shots) OVER so_far AS shots,
    SUM(shot_threes) OVER so_far AS shot_threes,
    SUM(shot_threes_made) OVER so_far AS shot_threes_made,
    SUM(shot_paint) OVER so_far AS shot_paint,
    SUM(shot_paint_made) OVER so_far AS shot_paint_made,
    SUM(shot_twos_made) OVER so_far AS shot_twos_made
  FROM games
  WINDOW so_far AS (PARTITION BY universal_player_id ORDER BY game_number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

-- A game enters the look-back on the day after it was played and leaves it {player_game_summary.lookback} days later.
changes AS (
  SELECT universal_player_id, game_date AS day, game_number, 1 AS entered, 0 AS departed
  FROM games
  UNION ALL
  SELECT universal_player_id, DATE_ADD(game_date, INTERVAL {player_game_summary.lookback} DAY) AS day, game_number, 0 AS entered, 1 AS departed
  FROM games
),

in_reach AS (
  SELECT
    universal_player_id,
    day AS after_date,
    IFNULL(LEAD(day) OVER (PARTITION BY universal_player_id ORDER BY day, entered, game_number), @last) AS until_date,
    SUM(entered) OVER so_far AS games_entered,
    SUM(departed) OVER so_far AS games_departed
  FROM changes
  WINDOW so_far AS (
    PARTITION BY universal_player_id ORDER BY day, entered, game_number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

windows AS (
  SELECT
    in_reach.after_date,
    in_reach.until_date,
    latest.universal_player_id,
    latest.player_lookup,
    LEAST(10, in_reach.games_entered - in_reach.games_departed) AS games,
    latest.twos_made - IFNULL(dropped.twos_made, 0) AS twos_made,
    latest.twos - IFNULL(dropped.twos, 0) AS twos,
    latest.threes_made - IFNULL(dropped.threes_made, 0) AS threes_made,
    latest.threes - IFNULL(dropped.threes, 0) AS threes,
    latest.free_throws - IFNULL(dropped.free_throws, 0) AS free_throws,
    latest.shots - IFNULL(dropped.shots, 0) AS shots,
    latest.shot_threes - IFNULL(dropped.shot_threes, 0) AS shot_threes,
    latest.shot_threes_made - IFNULL(dropped.shot_threes_made, 0) AS shot_threes_made,
    latest.shot_paint - IFNULL(dropped.shot_paint, 0) AS shot_paint,
    latest.shot_paint_made - IFNULL(dropped.shot_paint_made, 0) AS shot_paint_made,
    latest.shot_twos_made - IFNULL(dropped.shot_twos_made, 0) AS shot_twos_made
  FROM in_reach
  JOIN running_totals AS latest
    ON latest.universal_player_id = in_reach.universal_player_id
    AND latest.game_number = in_reach.games_entered
  LEFT JOIN running_totals AS dropped
    ON dropped.universal_player_id = in_reach.universal_player_id
    AND dropped.game_number = GREATEST(in_reach.games_entered - 10, in_reach.games_departed)
  WHERE in_reach.after_date < in_reach.until_date
    AND in_reach.games_entered - in_reach.games_departed >= 3
),

sourced AS (
  SELECT *, shots > 0 AND 2 * shots >= twos + threes AS from_shots
  FROM windows
),

-- From here on in twentieths of an attempt and of a point, so that the shares of 80 % and 85 % stay integers.
zones AS (
  SELECT
    universal_player_id,
    player_lookup,
    games,
    after_date,
    until_date,
    twos_made,
    twos,
    threes_made,
    threes,
    free_throws,
    from_shots,
    IF(from_shots, shots, twos + threes) AS attempts,
    IF(from_shots, 20 * shot_paint, 16 * twos) AS paint,
    IF(from_shots, 20 * shot_threes, 20 * threes) AS three_point,
    IF(from_shots, 40 * shot_paint_made, 34 * twos_made) AS paint_points,
    IF(from_shots, 40 * (shot_twos_made - shot_paint_made), 6 * twos_made) AS mid_range_points,
    IF(from_shots, 60 * shot_threes_made, 60 * threes_made) AS three_point_points
  FROM sourced
),

described AS (
  SELECT
    universal_player_id,
    player_lookup,
    games AS games_in_sample_10,
    after_date,
    until_date,
    attempts AS shots_in_sample,
    ROUND(SAFE_DIVIDE(paint, 20 * attempts), 4) AS paint_rate,
    ROUND(SAFE_DIVIDE(20 * attempts - paint - three_point, 20 * attempts), 4) AS mid_range_rate,
    ROUND(SAFE_DIVIDE(three_point, 20 * attempts), 4) AS three_point_rate,
    LEAST(100, ROUND(SAFE_DIVIDE(free_throws, twos + threes), 4)) AS free_throw_rate,
    ROUND(SAFE_DIVIDE(twos_made, twos), 4) AS two_point_pct,
    ROUND(SAFE_DIVIDE(threes_made, threes), 4) AS three_point_pct,
    CASE GREATEST(paint_points, mid_range_points, three_point_points)
      WHEN 0 THEN 'none'
      WHEN paint_points THEN 'paint'
      WHEN mid_range_points THEN 'mid_range'
      ELSE 'three_point'
    END AS primary_scoring_zone,
    games = 10 AS is_production_ready,
    IF(from_shots, 'SHOTS', 'BOX_SCORE') AS data_source
  FROM zones
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
)

SELECT
  game_days.game_date AS analysis_date,
  described.player_lookup,
  described.universal_player_id,
  described.games_in_sample_10,
  described.shots_in_sample,
  described.paint_rate,
  described.mid_range_rate,
  described.three_point_rate,
  described.free_throw_rate,
  described.two_point_pct,
  described.three_point_pct,
  described.primary_scoring_zone,
  described.is_production_ready,
  described.data_source
FROM described
CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(DATE_ADD(described.after_date, INTERVAL 1 DAY), described.until_date)) AS day
JOIN game_days
  ON game_days.game_date = day
