"""Queries over the prediction log for the admin port: in a process of their own, with limits."""
