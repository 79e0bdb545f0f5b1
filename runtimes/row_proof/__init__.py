"""Whether an ONNX graph gives each row the answer it would get alone, from the graph itself."""
