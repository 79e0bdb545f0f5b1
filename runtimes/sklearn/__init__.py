"""The scikit-learn runtime: ``model.skops``."""
