"""Data quality at the door: its options, and the gate that every request of a model passes."""
