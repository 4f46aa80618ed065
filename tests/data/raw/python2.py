"""Pickles as Python 2 wrote them: text and array contents are byte strings, numpy's modules have their old names."""

import io
import pickle
from typing import Any, ClassVar


class _Pickler(pickle._Pickler):
    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = _save_string


def pickled(value: Any) -> bytes:
    """Returns the pickle of plain data and arrays."""
    stream = io.BytesIO()
    _Pickler(stream, 2).dump(value)
    return stream.getvalue().replace(b"numpy._core", b"numpy.core")
