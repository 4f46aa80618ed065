"""Trains and measures cells of the open benchmark, one after the other, through the command line.

    python -m benchmarks.open_grid hmr spin [--variants normal,l1] [--override KEY=VALUE ...] [--publish]

Each cell has a folder below --out: the run of `hmr train`, and the results of `hmr eval` on open-test and
open-wild. What is done is not done again, so the same command goes on after an interruption. A recipe that another
starts from, such as a pose network, runs first, unless the file that it leaves is in place. With --publish, results go
to data/results/open, where they travel with the package. The table comes last.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.publish import publish
from hmrcli.assets.data_root import data_root
from hmrcli.errors import BadInput, HmrError
from hmrcli.recipe import load_recipe, source_of
from hmrcli.recipe.load import Source
from hmrcli.results.compare import OPEN_TEST, OPEN_WILD
from hmrcli.results.published import published
from hmrcli.results.runs import RESULTS_FILE, read_results
from hmrcli.training.checkpoints import FOLDER, LAST, MODEL_FILE, newest_checkpoint, read_checkpoint

PUBLISHED = Path(__file__).resolve().parents[1] / "data" / "results" / "open"
SETS = (OPEN_TEST, OPEN_WILD)
INTERRUPTED = 130


class Failed(Exception):
    """A command ended with an error, which it has printed."""


def hmr(*arguments: str) -> None:
    """Runs the command line."""
    print("$ hmr", shlex.join(arguments), flush=True)
    code = subprocess.run([sys.executable, "-m", "hmrcli", *arguments]).returncode
    if code in (INTERRUPTED, -2):
        raise KeyboardInterrupt
    if code:
        raise Failed(f"hmr {arguments[0]} ended with exit code {code}")


def cells(algorithms: Iterable[str], variants: Iterable[str]) -> list[str]:
    """Lists the cells in the order of the table."""
    wanted = list(variants)
    return [f"open_{algorithm}_{variant}" for algorithm in algorithms for variant in wanted]


def known(recipe: str) -> Source:
    """Finds the bundled recipe of a name that is known to be one."""
    source = source_of(recipe)
    assert source is not None, recipe
    return source


def starts(recipe: str, overrides: Sequence[str], root: Path) -> Iterator[str]:
    """Names the recipe whose finished run leaves what this one starts from, where that is not in place yet."""
    source = known(recipe)
    start = load_recipe(source.name, overrides, open=source.open).network.initialisation
    file = None if start is None else start.backbone or start.network
    if file and source_of(Path(file).stem) and not (root / "checkpoints" / file).is_file():
        yield Path(file).stem


def trained(run: Path, max_steps: int | None) -> bool:
    """Whether a run is at its end."""
    newest = newest_checkpoint(run)
    if newest is None:
        return False
    meta = read_checkpoint(newest).meta
    return bool(meta.finished) or (max_steps is not None and meta.step >= max_steps)


def measured(run: Path, dataset: str) -> bool:
    """Whether the weights at the run's end are measured."""
    weights = read_checkpoint(run / FOLDER / LAST).meta.sha256[MODEL_FILE]
    try:
        checkpoint = read_results(run / dataset / RESULTS_FILE).checkpoint
    except BadInput:
        return False
    return checkpoint is not None and checkpoint.sha256 == weights


def run_cell(recipe: str, options: argparse.Namespace) -> None:
    """Trains a recipe and what it starts from, and measures it.

    Raises:
        Failed: a command did not succeed.
    """
    is_cell = recipe in cells(published().benchmark.algorithms, published().benchmark.variants)
    overrides = options.override if is_cell else options.start_override
    root = data_root(options.data_root)
    for start in starts(recipe, overrides, root):
        run_cell(start, options)
    run = options.out / recipe
    common = ["--data-root", str(root)]
    common += ["--device", options.device] if options.device else []
    common += ["--workers", str(options.workers)] if options.workers is not None else []
    if not trained(run, options.max_steps):
        steps = ["--max-steps", str(options.max_steps)] if options.max_steps else []
        extra = shlex.split(options.train)
        hmr("train", *known(recipe).arguments.split(), *overrides, "--out", str(run), *common, *steps, *extra)
    if not is_cell:
        return
    for dataset in SETS:
        if not measured(run, dataset):
            # Not the best epoch: it was chosen by open-test.
            last = str(run / FOLDER / LAST)
            hmr("eval", "--checkpoint", last, "--dataset", dataset, "--out", str(run / dataset), *common)
    if options.publish:
        publish([run / dataset for dataset in SETS], options.published / recipe)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    benchmark = published().benchmark
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("algorithms", nargs="+", choices=list(benchmark.algorithms), metavar="ALGORITHM")
    parser.add_argument("--variants", default=",".join(benchmark.variants), help="by commas")
    parser.add_argument("--override", nargs="+", default=[], metavar="KEY=VALUE", help="of every cell")
    parser.add_argument(
        "--start-override", nargs="+", default=[], metavar="KEY=VALUE", help="of the pose recipes"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/open_grid"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--train", default="", help="further options of hmr train, in one word")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--published", type=Path, default=PUBLISHED, help="where --publish writes")
    options = parser.parse_args(arguments)
    options.variants = options.variants.split(",")
    if unknown := set(options.variants) - set(benchmark.variants):
        parser.error(f"--variants: {', '.join(sorted(unknown))} is none of {', '.join(benchmark.variants)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    failed = []
    try:
        for recipe in cells(options.algorithms, options.variants):
            try:
                run_cell(recipe, options)
            except (Failed, HmrError) as error:
                print(f"{recipe}: {error}", file=sys.stderr, flush=True)
                failed.append(recipe)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    if options.out.is_dir():
        hmr("table", "--benchmark", "open", "--compare", "--results", str(options.out))
    if failed:
        print(f"{len(failed)} failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
