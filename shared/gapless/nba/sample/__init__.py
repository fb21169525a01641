"""A generated basketball season and the incidents that once damaged a real one.

The players are invented; the calendar, the shapes of the files and the counts that the incidents quote are real.
`season` writes the files that `gapless load` reads, `incidents` damages a warehouse in which they were processed.
"""
