"""Why a file was not accepted; the callers add which file, and what to do next."""


class Refused(Exception):
    """A source, or what it served, cannot be used. The text says why, without naming the file."""


class NoSpace(Exception):
    """The disk cannot hold the file, whichever source serves it."""
