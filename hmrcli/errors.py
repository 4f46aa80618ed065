"""Errors a user can act on. Each carries its exit code and prints as one line, or as a list, without a traceback.

A message names the file, the field and what was expected, and ends with the next command.
"""


class HmrError(Exception):
    """An error that the user can resolve; `exit_code` is what the process returns.

    Its first argument is what is wrong, in one line; further ones are a list below it, a line each.
    """

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class UsageError(HmrError):
    """The command was called in a way that cannot work."""

    exit_code = 2


class MissingFile(HmrError):
    """Something must be obtained first: say what, why, under which licence, and the exact next command."""

    exit_code = 3


class BadInput(HmrError):
    """An image, checkpoint, annotation or recipe cannot be used: say which file, which field, what was expected."""

    exit_code = 4


class Refused(Exception):
    """Says why a file is not accepted, without naming it; the caller adds which file, and what to do next."""
