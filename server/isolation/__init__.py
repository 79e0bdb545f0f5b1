"""Processes of their own for code that may crash or hang: models, and candidates in the shadow."""
