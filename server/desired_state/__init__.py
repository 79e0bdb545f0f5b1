"""What operators want of each model, and the audit log of every change of it."""
