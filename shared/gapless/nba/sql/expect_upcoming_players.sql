-- expect_upcoming_players: the roster of every game of today and later, see _upcoming_roster.sql. It follows from the
-- schedule and the games before, never from upcoming_player_game_context: what that table lacks cannot be left out here.

SELECT game_id, game_date, player_lookup
FROM (
{include upcoming_roster}
)
