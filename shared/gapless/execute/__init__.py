"""Execute: claim, stage, audit, publish, measure, record, announce."""
