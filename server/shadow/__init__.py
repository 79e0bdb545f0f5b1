"""The shadow process: runs a candidate on copies of requests, and compares its answers."""
