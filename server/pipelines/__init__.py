"""Versions made of steps that other models run: their files, their wiring and their runs."""
