"""Counters, samples and their consumers: prediction log, drift, labels, alerts.

This room imports no other room; other rooms hand their figures over.
"""
