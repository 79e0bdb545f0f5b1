"""Files: read within bounds, decoded with clear errors, replaced at once."""
