"""Models and versions: what is on disk, what is loaded, what serves."""
