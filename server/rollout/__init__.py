"""Rollouts (shadow, canary, A/B): the routing of requests, the evidence and the decisions."""
