"""The benchmark: what Gapless adds to the bare SQL, and what its decisions cost."""
