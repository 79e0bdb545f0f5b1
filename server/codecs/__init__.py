"""Bodies to tensors and back: JSON, the OIP binary extension, msgpack, compression."""
