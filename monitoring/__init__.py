"""What happened and how well: counters, histograms, samples.

This room imports no other room; other rooms hand their figures over.
"""
