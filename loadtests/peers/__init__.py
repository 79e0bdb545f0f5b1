"""The same model behind each peer, in that peer's best configuration."""
