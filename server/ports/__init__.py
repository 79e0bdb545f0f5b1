"""What the prediction port and the admin port have in common at their borders."""
