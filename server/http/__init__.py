"""The wire: two doors (fast path and ASGI) over one inference path."""
