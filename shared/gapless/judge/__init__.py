"""Judge: what an observation means, one verdict for every target. Pure: no warehouse, no clock."""
