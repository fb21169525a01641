"""Reports: what one look, and one read of the run history, say to people. Pure values; `cli` prints them."""
