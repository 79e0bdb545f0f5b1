"""The path of one prediction, from a decoded request to the answer."""
