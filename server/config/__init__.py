"""Options of the server and of its models: command line, environment, TOML files."""
