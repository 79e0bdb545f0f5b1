"""The coordination of workers: target, fleet, rollouts."""
