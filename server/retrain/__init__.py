"""Retraining: what starts it, and how its run stands."""
