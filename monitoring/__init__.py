"""What happened and how well: counters, histograms, samples.

This room imports no other room; whoever has something to report hands it over.
"""
