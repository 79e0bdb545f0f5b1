"""Adaptive micro-batching: from single requests to model runs and back.

This room knows the runtime contract and nothing else: no HTTP, no registry, no metrics.
"""
