"""LightGBM models: gradient-boosted trees from text files."""
