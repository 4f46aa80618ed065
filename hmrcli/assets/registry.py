"""Reads `registry.yaml`: every file that can be fetched or placed, and who may use it."""

import difflib
import os
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from hmrcli.errors import BadInput, HmrError, MissingFile, UsageError
from hmrcli.files import open_file, plain_yaml, reason, wrong_field

_LARGEST = 1_000_000
"""Bytes of a registry."""
BUNDLED_REGISTRY = Path(__file__).with_name("registry.yaml")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """Source of a file: an address or a Google Drive id; `member` is what to take out of an archive."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    drive: Annotated[str, StringConstraints(pattern=r"^[\w-]+$")] | None = None
    member: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.drive is None):
            raise ValueError("a source has either `url` or `drive`")
        return self

    def address(self, drive_base: str) -> str:
        """Returns what is requested first."""
        return self.url or f"{drive_base}?id={self.drive}&export=download"

    @property
    def browser_address(self) -> str:
        """Returns what a person opens to fetch the file by hand."""
        return self.url or f"https://drive.google.com/file/d/{self.drive}/view"

    def __str__(self) -> str:
        return self.url.split("?")[0] if self.url else f"Google Drive {self.drive}"


class Licence(_Frozen):
    """Terms of a file; `restricted` ones are shown before anything is fetched."""

    name: str
    who: str
    page: str | None = None
    restricted: bool = False


class Check(_Frozen):
    """Contents that a good file must hold, read without running any code of the file.

    `tensors`: names and shapes in a state dict; `arrays`: those of an npz file or a pickled dictionary;
    `shape`: that of an npy array. None stands for any shape, and in a shape for any length.
    """

    tensors: dict[str, tuple[int, ...]] = {}
    arrays: dict[str, tuple[int | None, ...] | None] = {}
    shape: tuple[int | None, ...] | None = None


class Unpack(_Frozen):
    """The source is an archive; its members of these names become a folder."""

    take: tuple[str, ...]
    limit_gb: Annotated[float, Field(gt=0, le=1e4)]


class Asset(_Frozen):
    """One file (or unpacked folder) and everything known about it.

    `sha256` is the published digest, or its published first digits. `accepts` are the names (globs, any case)
    under which users get the file; `formats` are other endings it may have. `raw_set` is the official download of
    which `hmr data make` makes the file.
    """

    name: str
    group: str
    path: str
    about: str
    licence: str
    sources: tuple[Source, ...] = ()
    page: str | None = None
    raw_set: str | None = None
    size: int | None = None
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    check: Check = Check()
    unpack: Unpack | None = None
    accepts: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("`path` must lie below the data root")
        if not self.sources and self.page is None:
            raise ValueError("a file without `sources` needs the `page` where people get it")
        return self

    @property
    def make_command(self) -> str | None:
        """Makes it from the official download; None for files that are not made."""
        return self.raw_set and f"hmr data make {self.raw_set}"

    def target(self, root: Path, suffix: str = "") -> Path:
        """Returns where the file goes; `suffix` picks one of its other formats."""
        path = root / self.path
        return path.with_suffix(suffix) if suffix in self.formats else path

    def present(self, root: Path) -> Path | None:
        """Returns the path of the file in whichever of its formats is there."""
        targets = [self.target(root, suffix) for suffix in ("", *self.formats)]
        return next((path for path in targets if path.exists()), None)

    def fits_name(self, name: str) -> bool:
        """Tells whether a file of that name may be this one."""
        patterns = (self.name, PurePosixPath(self.path).name, *self.accepts)
        return any(PurePosixPath(name.lower()).match(pattern.lower()) for pattern in patterns)


class Registry(_Frozen):
    """All files; `drive` is the address at which Google Drive serves ids."""

    drive: Annotated[str, StringConstraints(pattern=r"^https?://")]
    groups: dict[str, str]
    licences: dict[str, Licence]
    files: Annotated[tuple[Asset, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for asset in self.files:
            if asset.group not in self.groups:
                raise ValueError(f"{asset.name}: unknown group {asset.group!r}")
            if asset.licence not in self.licences:
                raise ValueError(f"{asset.name}: unknown licence {asset.licence!r}")
        for field in ("name", "path"):
            values = [getattr(asset, field) for asset in self.files]
            if twice := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"{field} given twice: {', '.join(sorted(twice))}")
        return self

    @cached_property
    def by_name(self) -> dict[str, Asset]:
        """Maps names to files."""
        return {asset.name: asset for asset in self.files}

    def select(self, names: list[str]) -> list[Asset]:
        """Returns the files that names of files and groups stand for, each once, in the registry's order.

        Raises:
            UsageError: a name is unknown.
        """
        chosen = set()
        for name in names:
            if name in self.by_name:
                chosen.add(name)
            elif name in self.groups:
                chosen.update(asset.name for asset in self.files if asset.group == name)
            else:
                known = [*self.groups, *self.by_name]
                near = difflib.get_close_matches(name, known, n=3)
                near = near or [each for each in known if name.lower() in each.lower()][:3]
                hint = f"did you mean {', '.join(near)}? " if near else ""
                hint += "hmr download --list shows all names"
                raise UsageError(f"no file or group is called {name!r}; {hint}")
        return [asset for asset in self.files if asset.name in chosen]

    def terms(self, asset: Asset) -> str:
        """Says in one sentence part a file's licence, who may use it and where the terms are."""
        licence = self.licences[asset.licence]
        return f"{licence.name}: {licence.who}" + (f" ({licence.page})" if licence.page else "")

    def how_to_get(self, asset: Asset, why: str, options: str = "") -> str:
        """Says in one line what is missing, why, under which licence, and the exact next command.

        `why` is for example "is missing", and `options`, which the command ends with, ` --data-root D`.
        """
        what = f"It is {asset.about}. Licence: {self.terms(asset)}."
        command = f"hmr download {asset.name} --from-file PATH{options}"
        make = f"{asset.make_command} --raw DIR{options}"
        if asset.sources:
            pages = " or ".join(source.browser_address for source in asset.sources)
            step = f"open {pages} in a browser, save the file"
            if member := asset.sources[0].member:
                step += f" (it is an archive that holds {member})"
            if asset.make_command:
                command += f" (or, from the official download, {make})"
        elif asset.make_command:
            step, command = f"get the official download at {asset.page}", make
        else:
            step = f"get it at {asset.page}"
        return f"{asset.name} {why}. {what} To go on, {step}, then run: {command}"


def load_registry(path: Path | None = None) -> Registry:
    """Reads the list of files: the one at `path`, that which `HMR_REGISTRY` names, or the package's own.

    Another one is for a group that keeps its licensed files on a server of its own.

    Raises:
        BadInput: the file is not a valid registry; names file and field.
    """
    path = path or Path(os.environ.get("HMR_REGISTRY") or BUNDLED_REGISTRY)
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Registry:
    """Reads a registry once for each time it was changed: a training asks for many files one by one."""
    try:
        with open_file(path) as stream:
            document: Any = plain_yaml(stream.read(_LARGEST))
        document["files"] = [{"name": name, **fields} for name, fields in document["files"].items()]
        return Registry.model_validate(document)
    except ValidationError as error:
        raise BadInput(f"{path}: {wrong_field(error)}; correct it or unset HMR_REGISTRY") from error
    except HmrError as error:
        raise type(error)(f"{error}; correct it or unset HMR_REGISTRY") from None
    except Exception as error:  # YAML makes dates, numbers and sets of what is not any
        what = f"not a registry of files ({reason(error)})"
        raise BadInput(f"{path}: {what}; correct it or unset HMR_REGISTRY") from error


def find_asset(name: str, root: Path) -> Path:
    """Finds a file below the data root.

    Raises:
        MissingFile: it is not there; the message ends with the command that brings it.
    """
    asset = load_registry().by_name[name]
    if path := asset.present(root):
        return path
    raise absent(name, asset.target(root))


def absent(name: str, path: Path) -> MissingFile:
    """Makes the error for a file of the registry that is not at `path`: what it is, and the command that brings it."""
    registry = load_registry()
    asset = registry.by_name[name]
    if not asset.sources:
        return MissingFile(registry.how_to_get(asset, f"is missing ({path})"))
    about = f"It is {asset.about}. Licence: {registry.terms(asset)}."
    made = f" (or, from the official download, {asset.make_command} --raw DIR)" if asset.make_command else ""
    return MissingFile(f"{path}: no such file. {about} Run: hmr download {name}{made}")
