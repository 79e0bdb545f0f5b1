"""Alert rules over counters and samples."""
