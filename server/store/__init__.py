"""Registries in object stores: reading, following and publishing."""
