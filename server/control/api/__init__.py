"""The admin port: what runs where, since when, by whom; and the commands that change it."""
