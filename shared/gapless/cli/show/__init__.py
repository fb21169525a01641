"""How results look, by subject: as tables and lines for people, as JSON for programs."""
