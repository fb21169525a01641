"""The embedded warehouse's server: `bqemulator` as published, changed where decision 0005 says."""
