-- player_composite_factors: what surrounds a player's game: rest, opponent, matchup, usage, pace. Known before tip-off.
--
-- Rows      historical dates (before today): every player-game of player_game_summary, data_source PGS_SYNTHETIC. They
--           never read upcoming_player_game_context: its rows are a roster forecast and disappear after a week.
--           Today and later: the roster, see _upcoming_roster.sql. Of a date of which upcoming_player_game_context has at
--           least {gate_pct} % of the roster, its rows of these players, data_source UPCG; else, because it is missing or
--           partial, the roster itself, which rests on player_game_summary: data_source PGS_SYNTHETIC.
-- Windows   only games the player appeared in, before the date, at most {player_game_summary.lookback} days back.
--
-- All scores are integers 0..100, 50 is average.
-- days_rest                whole days off since his latest game: 0 is a back-to-back; NULL without one in the look-back
-- games_in_last_7_days, minutes_in_last_7_days   the 7 days before the date
-- fatigue_score            100 is fresh. Minus 20 on a back-to-back, minus 10 for each game above 2 in the last 7 days,
--                          minus 1 for each 3 minutes above 80 in them (80: two full games of a starter and a half).
-- opponent_strength_score  1..100: 50 + 4 * (mean defensive rating of all teams - the opponent's), so 100 is a defence that
--                          allows 12.5 points per 100 possessions less than average. Ratings drift by era, their spread
--                          hardly does. 50 when the opponent has no row because it has played fewer than 5 games.
--                          0 only when team_defense_zone_analysis should have a row for the opponent and has none: the row
--                          was built on missing input, which the pipeline's `suspect` predicate looks for.
-- matchup_score            expected points per shot with the player's share of threes against the opponent's two- and
--                          three-point percentages, relative to the same shots against the mean defence:
--                          50 + 400 * (ratio - 1). 50 when either side is unknown.
-- usage_score              2.5 * mean usage rate of his last 10 games: 20 % (one of five) gives 50. 50 when unknown.
-- pace_score               50 + 5 * (mean pace of both teams' last 10 games - mean pace of all games in the look-back).
--                          50 when unknown.
-- composite_score          20 % fatigue, 25 % (100 - opponent strength), 25 % matchup, 20 % usage, 10 % pace: higher is
--                          better for the player. A missing strength (0) counts as 50 here.
-- all_upstreams_ready      opponent defence, shot zones and both paces were all there
--
-- Method: "the last 10 games before a date" is the difference of two running totals: up to the date (`before`) and up to the
-- game that has just dropped out, found by its number (none when nothing has). Totals are integers (tenths), so the result
-- does not depend on how many other dates are computed with it.

WITH roster AS (
{include upcoming_roster}
),

listed AS (
  SELECT
    game_id,
    game_date,
    universal_player_id,
    player_lookup,
    season_year,
    team_abbr,
    opponent_team_abbr,
    home_game
  FROM {upcoming_player_game_context}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN GREATEST(@first, @today) AND @last
),

choices AS (
  SELECT
    roster.game_date,
    100 * COUNTIF(listed.player_lookup IS NOT NULL) >= {gate_pct} * COUNT(*) AS from_listed
  FROM roster
  LEFT JOIN listed
    ON listed.game_date = roster.game_date
    AND listed.game_id = roster.game_id
    AND listed.player_lookup = roster.player_lookup
  WHERE roster.game_date IN UNNEST(@dates)
  GROUP BY roster.game_date
),

upcoming AS (
  SELECT listed.*, 'UPCG' AS data_source
  FROM listed
  JOIN roster
    ON roster.game_date = listed.game_date
    AND roster.game_id = listed.game_id
    AND roster.player_lookup = listed.player_lookup
  JOIN choices
    ON choices.game_date = listed.game_date
    AND choices.from_listed
  UNION ALL
  SELECT
    roster.game_id,
    roster.game_date,
    roster.universal_player_id,
    roster.player_lookup,
    roster.season_year,
    roster.team_abbr,
    roster.opponent_team_abbr,
    roster.home_game,
    'PGS_SYNTHETIC' AS data_source
  FROM roster
  JOIN choices
    ON choices.game_date = roster.game_date
    AND NOT choices.from_listed
),

timeline AS (
  SELECT
    game_id,
    game_date,
    UNIX_DATE(game_date) AS day,
    universal_player_id,
    player_lookup,
    season_year,
    team_abbr,
    opponent_team_abbr,
    home_game,
    IF(is_active, 1, 0) AS played,
    IF(is_active, IFNULL(CAST(ROUND(minutes_played * 10) AS INT64), 0), 0) AS minute_tenths,
    IF(is_active AND usage_rate IS NOT NULL, 1, 0) AS usage_known,
    IF(is_active, IFNULL(CAST(ROUND(usage_rate * 10) AS INT64), 0), 0) AS usage_tenths,
    game_date < @today AND game_date IN UNNEST(@dates) AS is_target,
    'PGS_SYNTHETIC' AS data_source
  FROM {player_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@first, INTERVAL {player_game_summary.lookback} DAY) AND @last
  UNION ALL
  SELECT
    game_id,
    game_date,
    UNIX_DATE(game_date) AS day,
    universal_player_id,
    player_lookup,
    season_year,
    team_abbr,
    opponent_team_abbr,
    home_game,
    0 AS played,
    0 AS minute_tenths,
    0 AS usage_known,
    0 AS usage_tenths,
    TRUE AS is_target,
    data_source
  FROM upcoming
),

recent AS (
  SELECT
    *,
    SUM(played) OVER before AS games_before,
    SUM(usage_known) OVER before AS usage_known_before,
    SUM(usage_tenths) OVER before AS usage_tenths_before,
    IFNULL(SUM(played) OVER look_back, 0) AS games_in_look_back,
    MAX(IF(played = 1, day, NULL)) OVER look_back AS latest_day,
    IFNULL(SUM(played) OVER week, 0) AS games_in_last_7_days,
    IFNULL(SUM(minute_tenths) OVER week, 0) AS minute_tenths_in_last_7_days
  FROM timeline
  WINDOW
    before AS (
      PARTITION BY universal_player_id ORDER BY day RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
    look_back AS (
      PARTITION BY universal_player_id ORDER BY day
      RANGE BETWEEN {player_game_summary.lookback} PRECEDING AND 1 PRECEDING),
    week AS (PARTITION BY universal_player_id ORDER BY day RANGE BETWEEN 7 PRECEDING AND 1 PRECEDING)
),

totals_by_game AS (
  SELECT
    universal_player_id,
    SUM(played) OVER so_far AS game_number,
    SUM(usage_known) OVER so_far AS usage_known_so_far,
    SUM(usage_tenths) OVER so_far AS usage_tenths_so_far
  FROM timeline
  WHERE played = 1
  WINDOW so_far AS (
    PARTITION BY universal_player_id ORDER BY day, game_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

players AS (
  SELECT
    recent.*,
    SAFE_DIVIDE(
      recent.usage_tenths_before - IFNULL(dropped.usage_tenths_so_far, 0),
      10 * (recent.usage_known_before - IFNULL(dropped.usage_known_so_far, 0))) AS usage_rate_last_10
  FROM recent
  LEFT JOIN totals_by_game AS dropped
    ON dropped.universal_player_id = recent.universal_player_id
    AND dropped.game_number = recent.games_before - LEAST(10, recent.games_in_look_back)
  WHERE recent.is_target
),

-- Pace in tenths, of both teams of every game in scope.
team_days AS (
  SELECT team_abbr, game_date FROM players
  UNION DISTINCT
  SELECT opponent_team_abbr AS team_abbr, game_date FROM players
),

team_games AS (
  SELECT
    team_days.team_abbr,
    team_days.game_date,
    CAST(ROUND(played.pace * 10) AS INT64) AS pace_tenths,
    ROW_NUMBER() OVER (
      PARTITION BY team_days.team_abbr, team_days.game_date ORDER BY played.game_date DESC, played.game_id DESC
    ) AS games_ago
  FROM team_days
  JOIN {team_offense_game_summary} AS played
    ON played.team_abbr = team_days.team_abbr
    AND played.game_date BETWEEN DATE_SUB(team_days.game_date, INTERVAL {team_offense_game_summary.lookback} DAY)
      AND DATE_SUB(team_days.game_date, INTERVAL 1 DAY)
  WHERE played.game_date
    BETWEEN DATE_SUB(@first, INTERVAL {team_offense_game_summary.lookback} DAY) AND DATE_SUB(@last, INTERVAL 1 DAY)
),

team_pace AS (
  SELECT
    team_abbr,
    game_date,
    COUNT(*) AS games,
    SAFE_DIVIDE(SUM(IF(games_ago <= 10, pace_tenths, 0)), 10 * COUNTIF(games_ago <= 10)) AS pace
  FROM team_games
  GROUP BY team_abbr, game_date
),

pace_by_day AS (
  SELECT game_date, SUM(CAST(ROUND(pace * 10) AS INT64)) AS pace_tenths, COUNT(*) AS team_games
  FROM {team_offense_game_summary}
  WHERE game_date
    BETWEEN DATE_SUB(@first, INTERVAL {team_offense_game_summary.lookback} DAY) AND DATE_SUB(@last, INTERVAL 1 DAY)
  GROUP BY game_date
),

league_pace AS (
  SELECT
    target.game_date,
    SAFE_DIVIDE(SUM(pace_by_day.pace_tenths), 10 * SUM(pace_by_day.team_games)) AS pace
  FROM (SELECT DISTINCT game_date FROM team_days) AS target
  JOIN pace_by_day
    ON pace_by_day.game_date
      BETWEEN DATE_SUB(target.game_date, INTERVAL {team_offense_game_summary.lookback} DAY)
      AND DATE_SUB(target.game_date, INTERVAL 1 DAY)
  GROUP BY target.game_date
),

defences AS (
  SELECT
    analysis_date,
    team_abbr,
    CAST(defensive_rating_last_15 AS FLOAT64) AS rating,
    CAST(opp_two_point_pct_last_15 AS FLOAT64) AS two_point_pct,
    CAST(opp_three_point_pct_last_15 AS FLOAT64) AS three_point_pct,
    SUM(CAST(ROUND(defensive_rating_last_15 * 100) AS INT64)) OVER same_day / (100 * COUNT(*) OVER same_day)
      AS league_rating,
    SUM(CAST(ROUND(opp_two_point_pct_last_15 * 10000) AS INT64)) OVER same_day
      / (10000 * COUNT(opp_two_point_pct_last_15) OVER same_day) AS league_two_point_pct,
    SUM(CAST(ROUND(opp_three_point_pct_last_15 * 10000) AS INT64)) OVER same_day
      / (10000 * COUNT(opp_three_point_pct_last_15) OVER same_day) AS league_three_point_pct
  FROM {team_defense_zone_analysis}
  WHERE analysis_date IN UNNEST(@dates)
    AND analysis_date BETWEEN @first AND @last
  WINDOW same_day AS (PARTITION BY analysis_date)
),

zones AS (
  SELECT analysis_date, universal_player_id, CAST(three_point_rate AS FLOAT64) AS three_point_rate
  FROM {player_shot_zone_analysis}
  WHERE analysis_date IN UNNEST(@dates)
    AND analysis_date BETWEEN @first AND @last
),

measured AS (
  SELECT
    player.*,
    player.day - player.latest_day - 1 AS days_rest,
    defence.team_abbr IS NOT NULL AS defence_known,
    zones.universal_player_id IS NOT NULL AS zones_known,
    own_pace.pace IS NOT NULL AND opponent_pace.pace IS NOT NULL AS pace_known,
    IFNULL(opponent_pace.games, 0) AS opponent_games,
    defence.league_rating - defence.rating AS points_better_than_league,
    SAFE_DIVIDE(
      2 * (1 - zones.three_point_rate) * defence.two_point_pct + 3 * zones.three_point_rate * defence.three_point_pct,
      2 * (1 - zones.three_point_rate) * defence.league_two_point_pct
        + 3 * zones.three_point_rate * defence.league_three_point_pct) AS matchup_ratio,
    (own_pace.pace + opponent_pace.pace) / 2 - league_pace.pace AS pace_above_league
  FROM players AS player
  LEFT JOIN defences AS defence
    ON defence.analysis_date = player.game_date AND defence.team_abbr = player.opponent_team_abbr
  LEFT JOIN zones
    ON zones.analysis_date = player.game_date AND zones.universal_player_id = player.universal_player_id
  LEFT JOIN team_pace AS own_pace
    ON own_pace.game_date = player.game_date AND own_pace.team_abbr = player.team_abbr
  LEFT JOIN team_pace AS opponent_pace
    ON opponent_pace.game_date = player.game_date AND opponent_pace.team_abbr = player.opponent_team_abbr
  LEFT JOIN league_pace
    ON league_pace.game_date = player.game_date
),

scored AS (
  SELECT
    *,
    GREATEST(0, 100
      - IF(days_rest = 0, 20, 0)
      - 10 * GREATEST(0, games_in_last_7_days - 2)
      - DIV(GREATEST(0, minute_tenths_in_last_7_days - 800), 30)) AS fatigue_score,
    CASE
      WHEN defence_known THEN GREATEST(1, LEAST(100, CAST(ROUND(50 + 4 * points_better_than_league) AS INT64)))
      WHEN opponent_games >= 5 THEN 0
      ELSE 50
    END AS opponent_strength_score,
    GREATEST(0, LEAST(100, CAST(ROUND(50 + 400 * (IFNULL(matchup_ratio, 1) - 1)) AS INT64))) AS matchup_score,
    GREATEST(0, LEAST(100, CAST(ROUND(2.5 * IFNULL(usage_rate_last_10, 20)) AS INT64))) AS usage_score,
    GREATEST(0, LEAST(100, CAST(ROUND(50 + 5 * IFNULL(pace_above_league, 0)) AS INT64))) AS pace_score
  FROM measured
)

SELECT
  game_id,
  player_lookup,
  game_date,
  game_date AS analysis_date,
  universal_player_id,
  season_year,
  team_abbr,
  opponent_team_abbr,
  home_game,
  days_rest,
  games_in_last_7_days,
  ROUND(minute_tenths_in_last_7_days / 10, 1) AS minutes_in_last_7_days,
  fatigue_score,
  opponent_strength_score,
  matchup_score,
  usage_score,
  pace_score,
  CAST(ROUND((
    20 * fatigue_score
    + 25 * (100 - IF(opponent_strength_score = 0, 50, opponent_strength_score))
    + 25 * matchup_score
    + 20 * usage_score
    + 10 * pace_score) / 100) AS INT64) AS composite_score,
  defence_known AND zones_known AND pace_known AS all_upstreams_ready,
  data_source
FROM scored
