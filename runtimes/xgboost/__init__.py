"""XGBoost models: gradient-boosted trees and linear models, from UBJSON and JSON files."""
