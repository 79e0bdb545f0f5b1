"""Rollouts: shadow, canary, A/B; who serves which request, the evidence, the decision."""
