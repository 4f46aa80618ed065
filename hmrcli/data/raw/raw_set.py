"""Records of what is known about an official download."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hmrcli.data.raw.output import Output
    from hmrcli.data.raw.tree import Tree


class Archive(NamedTuple):
    """A file that the official page offers."""

    pattern: str
    """Glob of its path below the folder of the downloads."""
    about: str
    gigabytes: float | None = None
    """Of the download, where that is known."""


class Product(NamedTuple):
    """An annotation file that is made of a set."""

    file: str
    """Below `preprocessed_datasets/`."""
    about: str
    rows: int | None = None
    """That the published file has, where that is known."""
    images: str = ""
    """Folder of its images below `datasets/`; by default the set's name."""


@dataclass(frozen=True)
class RawSet:
    """A data set as its owners give it out."""

    name: str
    """On the command line, and of its folder below `datasets/`: there the official tree and the images lie."""
    title: str
    page: str
    licence: str
    """Its name in the registry of files."""
    archives: tuple[Archive, ...]
    tree: tuple[str, ...]
    """Paths of the unpacked tree, an example of each kind."""
    products: tuple[Product, ...]
    make: Callable[["Tree", "Output"], None]
    """Writes the products. Raises MissingFile where the tree lacks what it needs."""
    packages: tuple[str, ...] = ()
    """Modules of the optional extra `raw` that it imports."""
    has_images: bool = True

    def images_of(self, file: str) -> str | None:
        """Returns the folder of a product's images below `datasets/`; None where the set has no images."""
        if not self.has_images:
            return None
        return next((p.images for p in self.products if p.file == file), "") or self.name
