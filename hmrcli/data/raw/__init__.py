"""Annotation files from the official downloads of the data sets: one module for each set."""
