"""Loops that numba compiles once for all processes of a machine.

Import this module only where a picture is made: it imports numba, which takes half a second.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numpy.typing import NDArray

_config: Any = numba.config
Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiles on first call, kept on disk where a place for it can be written.

    The function makes no arrays: references to them are not counted, which else takes longer than loops that call
    each other take themselves.
    """
    return _compiled(function, _nrt=False)


def compiled_with_arrays(function: Function) -> Function:
    """`compiled` for a function that makes arrays."""
    return _compiled(function)


def _compiled(function: Function, **options: Any) -> Function:
    given, _config.CACHE_DIR = _config.CACHE_DIR, FOLDER
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # neither this folder, the installation nor the home can be written
        return numba.njit(nogil=True, **options)(function)
    finally:
        _config.CACHE_DIR = given


def cache_folder() -> str:
    """Returns the user's folder for what is compiled of these very kernels; none where the user has no home.

    `NUMBA_CACHE_DIR` names another place. numba compiles a function anew where its own file changes, yet not where
    one does from which it calls others: so the folder is named for all of them.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].glob("*/*kernels.py")):
        digest.update(path.read_bytes())
    own = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    try:
        place = _config.CACHE_DIR or os.environ.get(own) or Path.home() / ".cache"
    except RuntimeError:
        return ""
    return str(Path(place, "hmr", f"kernels-{digest.hexdigest()[:12]}"))


FOLDER = cache_folder()
