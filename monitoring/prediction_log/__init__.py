"""The prediction log: SQLite files of a day each, sealed to Parquet, and what reads them."""
