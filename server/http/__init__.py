"""The HTTP layer: two front ends (fast path and ASGI) over one inference path."""
