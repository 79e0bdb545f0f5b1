"""The process tree: supervisor, control, workers, and the link between them."""
