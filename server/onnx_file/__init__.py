"""What an ONNX file holds, read without running it and without trust in any length."""
