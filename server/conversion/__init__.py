"""Conversion of models of other libraries to ONNX, in the environment of the person who pushes."""
