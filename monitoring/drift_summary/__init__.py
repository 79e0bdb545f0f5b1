"""The drift of all versions in a few values each, for who looks at the server."""
