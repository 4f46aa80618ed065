"""Human mesh recovery: a photo in, a posed 3D body out."""

__version__ = "0.1.0"
