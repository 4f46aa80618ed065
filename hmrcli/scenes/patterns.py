"""Numbers that name the patterns and things of backdrops and occluders, read by compiled code."""

PLAIN, PLANKS, TILES, CARPET, GRASS, ROAD, SAND, PAVING = range(8)
"""Patterns of a floor."""

SMOOTH, STRIPES, BRICKS, PANELLED, TWO_TONE = range(5)
"""Patterns of a wall."""

POSTER, WINDOW, DOOR, BOARD = range(4)
"""What hangs on a wall or opens in it."""

BLOCK, SHELF, DRAWERS, HEDGE, CAR = range(5)
"""Kinds of box."""

HILLS, TOWN, TREES = range(3)
"""Kinds of skyline."""

COUNTER, PILLAR, BARS, FOLIAGE, CRATE, BALL, HELD = range(7)
"""Kinds of occluder."""

FLAT, GRAIN, BANDS, CHECKS = range(4)
"""Textures of an occluder."""
