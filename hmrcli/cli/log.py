"""The console of what is said to a person. Import this module where something is said: it imports rich."""

from typing import Any

from rich.console import Console

from hmrcli.cli.visible import visible


class Log(Console):
    """A console that shows control characters in what it is given to print."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints as Console does."""
        super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **options)
