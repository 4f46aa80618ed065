"""Every file that a recipe trains with: where it is, whether it is there, and how to get it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hmrcli.assets.registry import Registry, find_asset, load_registry
from hmrcli.errors import MissingFile, UsageError
from hmrcli.files import did_you_mean
from hmrcli.recipe import Recipe, recipe_names
from hmrcli.scenes.splits import SPLITS

ANNOTATIONS, FITS, IMAGES = "preprocessed_datasets", "static_fits", "datasets"
CHECKPOINTS, BODY_MODELS = "checkpoints", "body_models"

OPEN_MEAN = "open"
"""Mean parameters that no file holds: those of the open training poses."""


@dataclass(frozen=True)
class NeededFile:
    """A file or folder of a recipe."""

    use: str
    """What for, in a few words."""
    path: Path
    """Where it is, or belongs."""
    found: bool
    about: str
    """What it is, where that is known."""
    way: str
    """Under which terms it comes from where, and the command that puts it in place, with `NAMES` for what to name."""
    name: str = ""
    """By which `hmr download` knows it."""
    dataset: str | None = None
    """The training set that can be left out to go on without it."""

    @property
    def source(self) -> str:
        """All of that in one line."""
        return "; ".join(filter(None, (self.about, self.way.replace("NAMES", self.name))))


def needed_files(
    recipe: Recipe, root: Path, without: Collection[str] = (), bodies: Iterable[str] = ()
) -> list[NeededFile]:
    """All files of a recipe, found or missing; only their presence is looked at.

    Args:
        recipe: what is to be trained.
        root: the data root.
        without: training sets to leave out.
        bodies: further files of the registry, for example the bodies that the evaluation protocol measures with.

    Raises:
        UsageError: `without` names a set that the mixture lacks, or all of its sets.
    """
    registry = load_registry()

    def file(use: str, folder: str, name: str, dataset: str | None = None) -> NeededFile:
        path = locate(folder, name, root, registry)
        return NeededFile(use, path, path.is_file(), *_source(registry, Path(name).name, path), dataset)

    def images(use: str, name: str, dataset: str | None = None) -> NeededFile:
        path = root / IMAGES / name
        found = path.is_dir() and any(path.iterdir())
        known = [
            asset.name
            for asset in registry.files
            if (root / asset.path).is_relative_to(path) and asset.unpack and "*.jpg" in asset.unpack.take
        ]
        source = ("", "unpack the images of NAMES there", name)
        if known:
            source = (*_source(registry, known[0], path)[:2], " ".join(known))
        return NeededFile(use, path, found, *source, dataset)

    def rendered(use: str, name: str, dataset: str | None = None) -> NeededFile:
        path = locate(ANNOTATIONS, name, root, registry)
        return NeededFile(
            f"{use}, rendered", path, True, "", "or run: hmr download NAMES", path.stem, dataset
        )

    files = []
    for name in kept_sets(recipe, without):
        dataset = recipe.data.mixture[name]
        if dataset.rendered is not None and not locate(ANNOTATIONS, dataset.annotations, root).is_file():
            files.append(rendered(f"training set {name}", dataset.annotations, name))
            continue
        files.append(file(f"training set {name}, annotations", ANNOTATIONS, dataset.annotations, name))
        files.append(images(f"training set {name}, images", name, name))
        if dataset.fits is not None:
            files.append(file(f"training set {name}, body fits to start from", FITS, dataset.fits, name))
    files += [file(*needed) for needed in _model_files(recipe)]
    start = recipe.network.initialisation
    if start is not None:
        weights = file("weights to start from", CHECKPOINTS, start.backbone or start.network or "")
        if weights.found or not start.optional:
            files.append(weights)
    if part_to_render(recipe, root) is not None:
        files.append(rendered("evaluation", recipe.evaluation.annotations))
    else:
        files.append(file("evaluation, annotations", ANNOTATIONS, recipe.evaluation.annotations))
        files.append(images("evaluation, images", recipe.evaluation.dataset))
    files += [file("evaluation, body", BODY_MODELS, name) for name in bodies if name in registry.by_name]
    first = {needed.path: needed for needed in reversed(files)}
    return list(first.values())[::-1]


def _model_files(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """Use, folder and name of what head, body, adversary and fitting read."""
    mean = recipe.network.mean_parameters
    if mean is not None and mean != OPEN_MEAN:
        yield "mean parameters", BODY_MODELS, mean
    if recipe.body_model == "smpl":
        yield "body model", BODY_MODELS, "SMPL_NEUTRAL.pkl"
        yield "regressor of extra joints", BODY_MODELS, "J_regressor_extra.npy"
        yield "regressor of Human3.6M's joints", BODY_MODELS, "J_regressor_h36m.npy"
        if recipe.rules.mesh_levels:
            yield "mesh levels", BODY_MODELS, "mesh_downsampling.npz"
    if recipe.adversary is not None and recipe.adversary.rendered is None:
        yield "real poses for the adversary", ANNOTATIONS, recipe.adversary.annotations
    if recipe.in_the_loop is not None and recipe.in_the_loop.pose_prior is not None:
        yield "pose prior of the fits", BODY_MODELS, recipe.in_the_loop.pose_prior


def part_to_render(recipe: Recipe, root: Path) -> str | None:
    """The part of the open data set that a recipe is evaluated on, if its files are yet to be written."""
    name = recipe.evaluation.dataset
    if name not in SPLITS or recipe.evaluation.annotations != f"{name}.npz":
        return None
    return None if locate(ANNOTATIONS, f"{name}.npz", root).is_file() else name


def kept_sets(recipe: Recipe, without: Collection[str]) -> list[str]:
    """Names of the training sets, less those to go on without.

    Raises:
        UsageError: a name is not in the mixture, or nothing is left.
    """
    names = list(recipe.data.mixture)
    if unknown := sorted(set(without) - set(names)):
        raise UsageError(f"{unknown[0]} is not a training set of {recipe.name}; it has {', '.join(names)}")
    kept = [name for name in names if name not in without]
    if not kept:
        raise UsageError(f"nothing is left to train on without {', '.join(names)}; leave out fewer sets")
    return kept


def locate(folder: str, name: str, root: Path, registry: Registry | None = None) -> Path:
    """Path of a recipe's file: as named if there is such a file, else in its folder below the data root.

    Args:
        folder: below the data root, for names that the registry does not place elsewhere.
        name: as the recipe gives it.
        root: the data root.
        registry: what `load_registry` gives, if it is at hand.
    """
    if Path(name).is_file():
        return Path(name)
    asset = (registry or load_registry()).by_name.get(name)
    if asset is not None:
        return asset.present(root) or asset.target(root)
    return root / folder / name


def require(files: Iterable[NeededFile]) -> None:
    """Refuses to go on while files are missing.

    Raises:
        MissingFile: with a line for each, then how to get those with the same terms; and the sets to go on without.
    """
    files = list(files)
    missing = [file for file in files if not file.found]
    if not missing:
        return
    lines = [f"{len(missing)} of {len(files)} files are missing:"]
    groups: dict[str, list[NeededFile]] = {}
    for file in missing:
        groups.setdefault(file.way, []).append(file)
    for way, group in groups.items():
        lines += [f"  {file.path} ({file.use})" for file in group]
        lines.append(f"    {way.replace('NAMES', ' '.join(dict.fromkeys(file.name for file in group)))}")
    if sets := dict.fromkeys(file.dataset for file in missing if file.dataset):
        lines.append(f"Sets that training could leave out: {', '.join(name for name in sets if name)}")
    raise MissingFile("\n".join(lines))


def _source(registry: Registry, name: str, path: Path) -> tuple[str, str, str]:
    """What a file is, how to get it, and its name, as `NeededFile` has them."""
    asset = registry.by_name.get(name)
    if (split := path.stem.removesuffix("_fits")) in SPLITS:
        return "", "rendered on this machine, free for any use. Run: hmr download NAMES", split
    if asset is None and path.stem in recipe_names():
        way = f"a finished run of that recipe leaves it there. Run: hmr train --recipe {path.stem}"
        return "", way, name
    if asset is None:
        return "", "not known to hmr download: put it there, or name another file in the recipe", name
    terms, page = registry.terms(asset), asset.page
    if asset.sources:
        return asset.about, f"{terms}. Run: hmr download NAMES", name
    return asset.about, f"{terms}. Get it at {page}, then run: hmr download NAMES --from-file PATH", name


def find_test_file(recipe: Recipe, root: Path, dataset: str | None = None) -> Path:
    """The annotation file of a recipe's test set, or of another one; one of the open benchmark may yet be rendered.

    Args:
        root: the data root.
        dataset: an annotation file, or the name of one below `preprocessed_datasets/`; the recipe's by default.

    Raises:
        MissingFile: it is not there.
    """
    if dataset is not None and Path(dataset).is_file():
        return Path(dataset)
    name = recipe.evaluation.annotations if dataset is None else dataset
    name = name if Path(name).suffix else f"{name}.npz"
    path = root / ANNOTATIONS / name
    if not path.is_file() and name in load_registry().by_name:
        path = find_asset(name, root)
    if not (path.is_file() or (path.stem in SPLITS and not SPLITS[path.stem].training)):
        hint = did_you_mean(name) or did_you_mean(path) or "; see hmr download --list"
        raise MissingFile(
            f"{path} is not there; --dataset takes an annotation file or the name of one below "
            f"{path.parent}{hint}"
        )
    return path
