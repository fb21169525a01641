-- upcoming_player_game_context: who is likely to play in each game of today and later.
--
-- Rows      players who appeared in one of their team's last 5 games within {player_game_summary.lookback} days before
--           the date, see _upcoming_roster.sql.
--
-- days_rest                 whole days off since his latest game: 0 is a back-to-back
-- games_in_last_30_days     games he appeared in, {player_game_summary.lookback} days before the date
-- current_points_line       the consensus line: the median of the books' two-sided lines, the lower of the middle two when
--                           their number is even, so that it is always a line somebody offers. One-sided quotes are
--                           promotions and would pull it down.
-- completeness_percentage   how much of a 5-game form the roster rests on: 20 for each of the team's last 5 games that is
--                           known, 0..100
-- is_production_ready       all 5 are known
-- backfill_bootstrap_mode   fewer than 5 are known (the season's first days)

WITH roster AS (
{include upcoming_roster}
),

lines AS (
  SELECT
    game_id,
    player_lookup,
    points_line,
    ROW_NUMBER() OVER (PARTITION BY game_id, player_lookup ORDER BY points_line, bookmaker) AS line_number,
    COUNT(*) OVER (PARTITION BY game_id, player_lookup) AS line_count
  FROM {prop_lines}
  WHERE game_date IN UNNEST(@dates)
    AND game_date BETWEEN GREATEST(@first, @today) AND @last
    AND (over_price IS NULL) = (under_price IS NULL)
)

SELECT
  roster.game_id,
  roster.game_date,
  roster.player_lookup,
  roster.universal_player_id,
  roster.player_full_name,
  roster.season_year,
  roster.team_abbr,
  roster.opponent_team_abbr,
  roster.home_game,
  DATE_DIFF(roster.game_date, roster.played_on, DAY) - 1 AS days_rest,
  roster.games_in_look_back AS games_in_last_30_days,
  consensus.points_line IS NOT NULL AS has_prop_line,
  consensus.points_line AS current_points_line,
  20.0 * LEAST(5, roster.team_games) AS completeness_percentage,
  roster.team_games >= 5 AS is_production_ready,
  roster.team_games < 5 AS backfill_bootstrap_mode,
  'SCHEDULE' AS data_source
FROM roster
LEFT JOIN lines AS consensus
  ON consensus.game_id = roster.game_id
  AND consensus.player_lookup = roster.player_lookup
  AND consensus.line_number = DIV(consensus.line_count + 1, 2)
WHERE roster.game_date IN UNNEST(@dates)
