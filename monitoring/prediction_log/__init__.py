"""The prediction log: one SQLite file per day, sealed to Parquet, and its readers."""
