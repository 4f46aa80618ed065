"""Reads the official downloads of data sets."""
