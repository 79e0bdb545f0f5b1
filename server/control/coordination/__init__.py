"""What control does by itself: target, workers, rollouts."""
