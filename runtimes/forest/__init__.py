"""Forests of the tree libraries, run by machine code that is compiled when a model is loaded."""
