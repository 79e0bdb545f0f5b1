"""Whether what comes in and goes out still looks like the baseline.

Bins, windows, and a rule with a stated false-alarm rate. The statistics are pure.
"""
