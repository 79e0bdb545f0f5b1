"""The server: the only room that sees all others."""
