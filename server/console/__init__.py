"""The console: pages of the admin port for people, over the endpoints that programs use."""
