"""Segments: parts of the traffic that have one value of a declared input, such as a country."""
