"""Numbers by which compiled loops know kinds and patterns."""

PLAIN, PLANKS, TILES, CARPET = range(4)
"""Patterns of a floor."""
SMOOTH, STRIPES, BRICKS, PANELLED, TWO_TONE = range(5)
"""Patterns of a wall."""
COUNTER, PILLAR, CRATE, FOLIAGE = range(4)
"""Occluders: what comes up from below or in from a side, what is anywhere and turned, and leaves."""
FLAT, GRAIN = range(2)
"""Textures of an occluder."""
