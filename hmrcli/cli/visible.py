"""Characters that steer a terminal, made visible: names and contents of files are shown, never obeyed."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0 without tab and line feed, C1, line separators, and what turns the direction of writing."""
_OURS = re.compile(r"\r|\x1b\[[0-9;?]*[A-Za-z]|" + _CONTROLS.pattern)


def visible(text: str, one_line: bool = False) -> str:
    """Writes out the control characters of a text, such as `\\x1b`."""
    text = _CONTROLS.sub(_written_out, text)
    return text.replace("\n", "\\n") if one_line else text


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Stream:
    """A stream through which no control characters come, but for rich's own on a terminal: colours, lines redrawn."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if self._stream.isatty():
            return self._stream.write(_OURS.sub(_unless_ours, text))
        return self._stream.write(visible(text))

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _unless_ours(found: re.Match[str]) -> str:
    return found[0] if found[0] == "\r" or len(found[0]) > 1 else _written_out(found)


@contextmanager
def visible_streams() -> Iterator[None]:
    """Makes stdout and stderr show control characters, whoever writes."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(Any, _Stream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
