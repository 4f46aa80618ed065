"""Scenes: people rendered from the open body with every label, each sample a function of its split and index."""
