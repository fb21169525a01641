"""Plan: what to do about the gaps, in waves, with reasons and a checksum. Pure, like the judge."""
