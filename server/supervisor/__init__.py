"""The supervisor process: it opens the sockets, starts the other processes and restarts them."""
