"""What every worker should serve: a plan from registry and desired state, and its number."""
