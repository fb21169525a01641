-- expect_upcoming_teams: both teams of every game of today and later that is not postponed.

SELECT
  team_abbr,
  CONCAT(FORMAT_DATE('%Y%m%d', game_date), '_', away_team_tricode, '_', home_team_tricode) AS game_id,
  game_date
FROM {schedule}
CROSS JOIN UNNEST([home_team_tricode, away_team_tricode]) AS team_abbr
WHERE game_date BETWEEN GREATEST(@first, @today) AND @last
  AND NOT is_all_star
  AND SUBSTR(game_id, 1, 3) NOT IN ('001', '003')  -- preseason and all-star games
GROUP BY game_date, away_team_tricode, home_team_tricode, team_abbr
HAVING MAX(game_status) = 3
  OR NOT LOGICAL_OR(REGEXP_CONTAINS(game_status_text, r'(?i)^(postponed|ppd|cancel)'))
