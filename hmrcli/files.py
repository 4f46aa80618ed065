"""Files that are either whole or absent."""

import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from hmrcli.errors import BadInput, UsageError


def writable_folder(path: str | Path, option: str = "--out") -> Path:
    """Makes a folder and tries to write in it, before the work whose results go there.

    Raises:
        UsageError: it cannot be made or written in; says why in one line.
        BadInput: the disk is full.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path, prefix=".") as trial:
            trial.write(bytes(4096))
            trial.flush()
    except OSError as error:
        kind = BadInput if error.errno == errno.ENOSPC else UsageError
        reason = f"{error.strerror}; name another folder"
        raise kind(f"{option}: cannot write in {path}: {reason}") from None
    return path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it takes the final name only when the block ends well.

    The folder is made. Whatever had the name before is replaced in one move; a block that fails leaves it alone
    and no temporary file behind. The suffix stays, for writers that go by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
