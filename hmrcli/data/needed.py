"""Every file that a recipe trains with: where it is, whether it is there, and how to get it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hmrcli.assets.data_root import ANNOTATIONS, BODY_MODELS, CHECKPOINTS, FITS, IMAGES
from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.assets.registry import find_asset, load_registry
from hmrcli.errors import MissingFile, UsageError
from hmrcli.files import did_you_mean
from hmrcli.recipe import Recipe, source_of

OPEN_MEAN = "open"
"""Mean parameters that no file holds: those of the open training poses."""

_UNPACK = "unpack the images of NAMES there"
_MAKE = "put the official downloads of NAMES there, each in its folder, then run: hmr data make NAMES"


@dataclass(frozen=True)
class NeededFile:
    """A file or folder of a recipe."""

    use: str
    """Purpose, in a few words."""
    path: Path
    """Place where it is, or belongs."""
    found: bool
    about: str
    """Description, where it is known."""
    way: str
    """Under which terms it comes from where, and the command that puts it in place, with `NAMES` for what to name."""
    name: str = ""
    """By which `hmr download` knows it."""
    dataset: str | None = None
    """The training set that can be left out to go on without it."""

    @property
    def rendered(self) -> bool:
        """Tells a file of a set that this machine renders."""
        return self.name in OPEN_SETS

    @property
    def source(self) -> str:
        """All of that in one line."""
        return "; ".join(filter(None, (self.about, self.way.replace("NAMES", self.name))))


def needed_files(
    recipe: Recipe, root: Path, without: Collection[str] = (), bodies: Iterable[str] = ()
) -> list[NeededFile]:
    """All files of a recipe, found or missing; only their presence is looked at.

    Args:
        bodies: further files of the registry, for example the bodies that the evaluation protocol measures with.

    Raises:
        UsageError: `without` names a set that the mixture lacks, or all of its sets.
    """
    registry = load_registry()

    def file(use: str, folder: str, name: str, dataset: str | None = None) -> NeededFile:
        path = locate(folder, name, root)
        return NeededFile(use, path, path.is_file(), *_source(Path(name).name, path), dataset)

    def images(use: str, name: str, dataset: str | None = None) -> NeededFile:
        path = root / IMAGES / name
        found = path.is_dir() and any(path.iterdir())
        known = [
            asset.name
            for asset in registry.files
            if (root / asset.path).is_relative_to(path) and asset.unpack and "*.jpg" in asset.unpack.take
        ]
        unpack = _MAKE if name in {asset.raw_set for asset in registry.files} else _UNPACK
        source = _source(name, path) if name in OPEN_SETS else ("", unpack, name)
        if known:
            source = (*_source(known[0], path)[:2], " ".join(known))
        return NeededFile(use, path, found, *source, dataset)

    files = []
    for name in kept_sets(recipe, without):
        dataset = recipe.data.mixture[name]
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
    files.append(file("evaluation, annotations", ANNOTATIONS, recipe.evaluation.annotations))
    files.append(images("evaluation, images", recipe.evaluation.dataset))
    files += [file("evaluation, body", BODY_MODELS, name) for name in bodies if name in registry.by_name]
    paths = [file.path for file in files]
    return [file for number, file in enumerate(files) if file.path not in paths[:number]]


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
    if recipe.adversary is not None:
        yield "real poses for the adversary", ANNOTATIONS, recipe.adversary.annotations
    if recipe.in_the_loop is not None and recipe.in_the_loop.pose_prior is not None:
        yield "pose prior of the fits", BODY_MODELS, recipe.in_the_loop.pose_prior


def open_sets(recipe: Recipe, without: Collection[str] = (), test: bool = True) -> dict[str, int | None]:
    """Lists the sets of the open benchmark that a recipe reads, and how many rows of each; None for any number."""
    sets = [recipe.data.mixture[name] for name in kept_sets(recipe, without)]
    wanted = [(each.annotations, each.rows) for each in (*sets, recipe.adversary) if each]
    wanted += [(recipe.evaluation.annotations, None)] if test else []
    rows: dict[str, int | None] = {}
    for file, count in wanted:
        name = file.removesuffix(".npz")
        if name in OPEN_SETS:
            rows[name] = max(count or 0, rows.get(name) or 0) or None
    return rows


def kept_sets(recipe: Recipe, without: Collection[str]) -> list[str]:
    """Names of the training sets, less those to go on without.

    Raises:
        UsageError: a name is not in the mixture, or nothing is left.
    """
    names = ", ".join(recipe.data.mixture)
    if unknown := sorted(set(without) - set(recipe.data.mixture)):
        raise UsageError(f"{unknown[0]} is not a training set of {recipe.name}; it has {names}")
    if kept := [name for name in recipe.data.mixture if name not in without]:
        return kept
    raise UsageError(f"nothing is left to train on without {names}; leave out fewer sets")


def locate(folder: str, name: str, root: Path) -> Path:
    """Path of a recipe's file: as named if there is such a file, else as the registry has it, or in root's folder."""
    if Path(name).is_file():
        return Path(name)
    asset = load_registry().by_name.get(name)
    if asset is not None:
        return asset.present(root) or asset.target(root)
    return root / folder / name


def require(files: Iterable[NeededFile], otherwise: str = "") -> None:
    """Refuses to go on while files are missing.

    Raises:
        MissingFile: with a line for each, then how to get those with the same terms; what can be left out; and
            `otherwise`, what can be done without any of them.
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
        lines.append(f"--without NAME goes on without one of {', '.join(name for name in sets if name)}")
    raise MissingFile(*lines, *filter(None, [otherwise]))


def _source(name: str, path: Path) -> tuple[str, str, str]:
    """Tells what a file is, how to get it, and its name, as `NeededFile` has them."""
    registry = load_registry()
    asset = registry.by_name.get(name)
    if (part := path.stem.removesuffix("_fits")) in OPEN_SETS:
        return "", "rendered on this machine, free for any use. Run: hmr download NAMES", part
    if asset is None and (recipe := source_of(path.stem)):
        return "", f"a finished run of that recipe leaves it there. Run: hmr train {recipe.arguments}", name
    if asset is None:
        return "", "not known to hmr download: put it there, or name another file in the recipe", name
    if asset.sources:
        made = f", or {asset.make_command} with the official download" if asset.make_command else ""
        way = f"Run: hmr download NAMES{made}"
    elif asset.make_command:
        way = f"Get the official download at {asset.page}, then run: {asset.make_command}"
    else:
        way = f"Get it at {asset.page}, then run: hmr download NAMES --from-file PATH"
    return asset.about, f"{registry.terms(asset)}. {way}", name


def find_test_file(recipe: Recipe, root: Path, dataset: str | None = None) -> Path:
    """Finds the annotation file of a recipe's test set, or of another; `hmr eval` renders those of the open benchmark.

    Args:
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
    if not (path.is_file() or is_open_test(path, root)):
        hint = did_you_mean(name) or did_you_mean(path) or "; see hmr download --list"
        takes = f"--dataset takes an annotation file or the name of one below {path.parent}"
        raise MissingFile(f"{path} is not there; {takes}{hint}")
    return path


def is_open_test(path: Path, root: Path) -> bool:
    """Tells the annotation file of a test set that this machine renders."""
    part = OPEN_SETS.get(path.stem)
    return part is not None and not part.training and path == root / ANNOTATIONS / f"{path.stem}.npz"
