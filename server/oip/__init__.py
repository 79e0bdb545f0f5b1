"""The messages and the service of the Open Inference Protocol for gRPC."""
