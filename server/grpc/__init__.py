"""The gRPC port of a worker: the Open Inference Protocol over the same inference path as HTTP."""
