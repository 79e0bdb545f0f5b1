"""Ground truth: labels by request id, joined with what was predicted; and how good that was."""
