"""Files: read within bounds, decoded with clear errors, written atomically."""
