"""Data quality: what an operator declares of the inputs, checked on arrays of rows."""
