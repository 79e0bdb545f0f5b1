"""Tokens, their scopes, and the paths that each scope may use."""
