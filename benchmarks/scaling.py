"""How cost grows: photos, people, annotation rows and processes; measured, drawn and printed as tables.

    python benchmarks/scaling.py [--parts images people rows processes traffic] [--most-rows 1000000] [--draw FILE.svg]

Each measurement runs in a process of its own, whose processor time and peak memory the system tells. Needs 5 GB of
disk for a moment (`--most-rows 1000000`) and 4 minutes of two quiet cores.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HOUSE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOUSE))

# What is imported here counts as memory of every child: a child's peak begins at its parent's size.

PHOTOS = (1, 4, 16, 32)
PEOPLE = (1, 2, 4, 8, 16)
ROWS = (10_000, 100_000, 300_000, 1_000_000)
PROCESSES = (1, 2)
GPUS = (8, 64)
NETWORKS = ("hmr_l1", "spin_l1", "graphcmr_l1", "pare_l1", "graphormer_l1")
STEPS, BATCH = 6, 16


class Spent(NamedTuple):
    """The cost of one process."""

    seconds: float
    """By the clock."""
    cpu: float
    """Seconds of processor time, its children's included."""
    mib: float
    """Peak memory."""
    output: str


def spend(*command: str, **environment: str) -> Spent:
    """Runs Python with these arguments to its end; raises where it fails."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        variables = {**os.environ, "PYTHONPATH": str(HOUSE), **environment}
        process = subprocess.Popen([sys.executable, *command], stdout=output, env=variables)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        output.seek(0)
        scale = 1 << (20 if sys.platform == "darwin" else 10)
        return Spent(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / scale, output.read())


def child(work: Callable[..., object], *arguments: object) -> Spent:
    """Runs a function of this script in a process of its own."""
    return spend(__file__, "--child", work.__name__, *map(str, arguments))


def measure_images(folder: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    """Measures `hmr infer` on folders of more and more photos of one person, start-up included."""
    points = []
    for count in PHOTOS:
        photos = folder / str(count)
        photos.mkdir()
        for number in range(count):
            shutil.copy(HOUSE / "data/photos/walk.jpg", photos / f"{number:03}.jpg")
        out = ("--save", "json", "--out", str(folder / "out"), "--json")
        spent = spend("-m", "hmrcli", "infer", str(photos), *out, OMP_NUM_THREADS="2")
        assert len(json.loads(spent.output)["images"]) == count
        points.append({"photos": count, "seconds": spent.seconds, "cpu": spent.cpu, "mib": spent.mib})
    return points


def people() -> None:
    """Times pictures of one size with more and more copies of the bundled photo's person, without start-up."""
    import cv2
    import numpy as np
    import torch

    from hmrcli import Predictor, read_image

    torch.set_num_threads(2)
    predictor = Predictor.from_default()
    photo = np.asarray(read_image(HOUSE / "data/photos/walk.jpg"))
    x, y, width, height = (round(value) for value in predictor(photo)[0].bbox_xywh)
    margin = height // 8
    person = photo[max(y - margin, 0) : y + height + margin, max(x - margin, 0) : x + width + margin]
    columns = 8
    cell = 1920 // columns, 1080 // 2
    zoom = min(cell[0] / person.shape[1], cell[1] / person.shape[0])
    small = cv2.resize(person, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    points = []
    for count in PEOPLE:
        picture = np.full((1080, 1920, 3), np.median(small, (0, 1)), np.uint8)
        for number in range(count):
            top, left = cell[1] * (number // columns), cell[0] * (number % columns)
            picture[top : top + small.shape[0], left : left + small.shape[1]] = small
        predictor(picture)
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(3):
            found = len(predictor(picture))
        spent = (time.perf_counter() - began) / 3, (time.process_time() - cpu) / 3
        points.append({"people": count, "found": found, "seconds": spent[0], "cpu": spent[1]})
    print(json.dumps(points))


def measure_rows(folder: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    """Measures reading files of more and more rows: HumanData as published, and the compact form, batches drawn."""
    points = []
    for count in (rows for rows in ROWS if rows <= options.most_rows):
        npz, compact = folder / "made.npz", folder / "made.npy"
        child(make_rows, npz, count)
        empty, read = child(import_alone), child(read_rows, npz)
        child(convert_rows, npz, compact)
        size = npz.stat().st_size / 1e6
        npz.unlink()
        drawn = child(draw_rows, compact)
        own = json.loads(drawn.output)
        points.append(
            {
                "rows": count,
                "npz_mb": size,
                "compact_mb": compact.stat().st_size / 1e6,
                "imports_mib": empty.mib,
                "npz_cpu": read.cpu - empty.cpu,
                "npz_mib": read.mib - empty.mib,
                "compact_cpu": drawn.cpu - empty.cpu,
                "compact_own_mib": own["own_mib"],
            }
        )
        compact.unlink()
    return points


def make_rows(file: str, count: str) -> None:
    from benchmarks.annotations import make

    make(Path(file), int(count), packed=True)


def import_alone() -> None:
    from hmrcli.data import annotation_files, compact  # noqa: F401


def read_rows(file: str) -> None:
    from hmrcli.data.annotation_files import read_annotations

    read_annotations(file, "smpl_54")


def convert_rows(file: str, compact: str) -> None:
    from hmrcli.data.annotation_files import read_annotations
    from hmrcli.data.compact import write_compact

    write_compact(compact, read_annotations(file, "smpl_54"))


def draw_rows(file: str) -> None:
    """Draws 200 batches of 256 rows, and prints how much the process holds for itself: mapped pages are the file's."""
    import numpy as np

    from hmrcli.data.annotation_files import read_annotations

    before = own_mib()
    annotations = read_annotations(file, "smpl_54")
    for batch in np.random.default_rng(0).integers(0, len(annotations), (200, 256)):
        annotations.labels(batch)
    print(json.dumps({"own_mib": own_mib() - before}))


def own_mib() -> float:
    """Returns the memory that this process holds beside mapped files, in MiB; zero where there is no /proc."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def measure_processes(folder: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    """Measures HMR's steps of one batch that one or two processes of one thread share, by gloo."""
    changes = json.loads(child(write_people, folder).output)
    points = []
    for count in PROCESSES:
        run = folder / f"run{count}"
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count))
        train = ("train", "--recipe", "hmr_l1", *changes, "--device", "cpu", "--workers", "0")
        # One epoch, so that nothing is saved or measured between the steps.
        places = ("--data-root", str(folder), "--out", str(run), "--without", "evaluation")
        spend(*launcher, "-m", "hmrcli", *train, *places, OMP_NUM_THREADS="1")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        rates = sorted(line["speed"]["images_per_second"] for line in lines if "speed" in line)
        points.append({"processes": count, "images_per_second": rates[len(rates) // 2]})
    return points


def write_people(folder: str) -> None:
    """Writes what HMR trains on, and prints what a run on it changes of the recipe."""
    from benchmarks.world import open_overrides, open_recipe, write_world

    write_world(Path(folder), open_recipe("hmr_l1"), rows=BATCH)
    print(json.dumps([*open_overrides("hmr_l1", batch_size=BATCH), f"data.epoch_length={STEPS * BATCH}"]))


def traffic() -> None:
    """Counts what a GPU sends in a step where gradients are summed around a ring: on paper, not measured."""
    from benchmarks.world import open_recipe
    from hmrcli import build_network, load_body

    body, points = load_body("open"), []
    for name in NETWORKS:
        recipe = open_recipe(name)
        network = build_network(recipe, body)
        count = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        sent = {
            f"{gpus}_gpus_{kind}_mb": count * size * 2 * (gpus - 1) / gpus / 1e6
            for gpus in GPUS
            for kind, size in (("fp32", 4), ("bf16", 2))
        }
        points.append({"network": recipe.algorithm, "parameters_million": count / 1e6, **sent})
    print(json.dumps(points))


def print_table(title: str, points: list[dict[str, Any]]) -> None:
    """Prints points as a Markdown table."""
    print(f"\n{title}\n\n| {' | '.join(key.replace('_', ' ') for key in points[0])} |")
    print("|" + "---|" * len(points[0]))
    for point in points:
        print(f"| {' | '.join(f'{v:,.4g}' if isinstance(v, float) else str(v) for v in point.values())} |")


def draw(measured: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draws a panel for each part that was measured."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    panels = dict(zip(("images", "people", "rows", "processes"), figure.subplots(2, 2).flatten()))
    curves = (
        ("images", "photos", "seconds", "by the clock"),
        ("images", "photos", "cpu", "of a processor"),
        ("people", "people", "seconds", "by the clock, without start-up"),
        ("people", "people", "cpu", "of a processor"),
        ("rows", "rows", "npz_mib", "HumanData npz, read: peak, MiB"),
        ("rows", "rows", "compact_own_mib", "compact, batches drawn: held, MiB"),
        ("processes", "processes", "images_per_second", "images a second"),
    )
    for part, x, y, label in (curve for curve in curves if curve[0] in measured):
        points = measured[part]
        panels[part].plot([point[x] for point in points], [point[y] for point in points], "o-", label=label)
        panels[part].set(title=PARTS[part][0], xlabel=x)
    for panel in panels.values():
        panel.set_ylim(0)
        panel.legend()
        panel.grid(alpha=0.3)
    panels["processes"].set_xticks(PROCESSES)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "scaling"}):  # small, and the same twice
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


PARTS: dict[str, tuple[str, Callable[[Path, argparse.Namespace], list[dict[str, Any]]]]] = {
    "images": ("Seconds of `hmr infer FOLDER --save json`", measure_images),
    "people": ("Seconds of a 1920x1080 picture", lambda *_: json.loads(child(people).output)),
    "rows": ("Memory of annotations", measure_rows),
    "processes": (f"HMR trained, batch {BATCH} shared by processes", measure_processes),
    "traffic": ("MB that each GPU sends in a step, on paper", lambda *_: json.loads(child(traffic).output)),
}
CHILDREN = (people, make_rows, import_alone, read_rows, convert_rows, draw_rows, write_people, traffic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--most-rows", type=int, default=ROWS[-1])
    parser.add_argument("--draw", type=Path, help="figure to write, svg or png")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, *arguments = options.child
        {work.__name__: work for work in CHILDREN}[name](*arguments)
        return
    measured, began = {}, time.perf_counter()
    for part in options.parts:
        title, measure = PARTS[part]
        with tempfile.TemporaryDirectory() as folder:
            measured[part] = measure(Path(folder), options)
        print_table(title, measured[part])
    if options.draw:
        draw(measured, options.draw)
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
