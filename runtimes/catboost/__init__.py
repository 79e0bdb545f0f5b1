"""CatBoost models: gradient-boosted trees from binary files."""
