"""What is loaded: versions from their files to models that may serve."""
