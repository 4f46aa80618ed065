"""Files that travel with the package, in a checkout and in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled(name: str) -> Path:
    """Returns the path of a bundled file, by that below `data/`, for example `body/open_body.npz`.

    Raises:
        FileNotFoundError: the installation is incomplete (a bug, never the user's doing).
    """
    for root in (_PACKAGE / "bundled", _PACKAGE.parent / "data"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"bundled file {name} is missing from this installation of hmrcli; reinstall it")
