"""Protocol buffers, read without trust in any length."""
