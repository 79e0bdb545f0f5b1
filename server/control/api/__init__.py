"""The admin port: status and history of all models, and the commands that change them."""
