"""Rules that find something wrong in counters and samples."""
