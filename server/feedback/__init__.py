"""Ground truth at the doors: its options, its way to the monitor, its figures."""
