"""Plug-in model runtimes: the contract, its discovery, and the ONNX runtime.

This room knows nothing of HTTP, batching or versions.
"""
