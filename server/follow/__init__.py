"""Following the registries of other tools: what an alias points at is published here."""
