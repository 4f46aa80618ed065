"""Motions as files that other tools open: one door, `write_exports`, and a file each for a kind.

What every key of them means, with unit, axes and order, is in docs/outputs.md.
"""

from hmrcli.export.write import KINDS, write_exports

__all__ = ["KINDS", "write_exports"]
