"""`hmr download`: puts files in place under the data root."""

import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmrcli.assets.data_root import data_root as find_data_root
from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.cli import open_sets
from hmrcli.cli.console import log, print_json
from hmrcli.errors import BadInput, HmrError, MissingFile, UsageError
from hmrcli.files import did_you_mean

if TYPE_CHECKING:
    from hmrcli.assets.registry import Asset, Registry


def _offered(path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise typer.BadParameter(f"{path} does not exist{did_you_mean(path)}")
    return path


def download(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Files or groups; `--list` shows them.")
    ] = None,
    list_files: Annotated[
        bool, typer.Option("--list", help="Show what there is and what is in place.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched from where, and fetch nothing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the files in place against hash and structure.")
    ] = False,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from-file", callback=_offered, help="Place a file, archive or folder that you fetched by hand."
        ),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", help="Where files go; else $HMR_DATA, ./data, the user's data folder."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Render at most so many rows of each part of the open data set.")
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Open data set: write masks of body parts beside the pictures.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Fetch backbones, trained models, annotations and body files, place those you have, or render the open data set.

    Licensed files stay with their owners: where a registration is needed, the command says where, and takes
    the file you get there with --from-file.
    """
    from hmrcli.assets.registry import load_registry

    if sum((list_files, dry_run, verify, from_file is not None)) > 1:
        raise UsageError("--list, --dry-run, --verify and --from-file exclude one another")
    registry, root = load_registry(), find_data_root(data_root)
    if not names and not (list_files or verify or from_file):
        groups = ", ".join([*registry.groups, open_sets.GROUP])
        raise UsageError(f"say what to download: a group ({groups}) or a file; see hmr download --list")
    parts, others = open_sets.apart(names or [open_sets.GROUP])
    assets = registry.select(others) if names else list(registry.files)
    if (rows or masks) and not (names and parts):
        raise UsageError(f"--rows and --masks are for {open_sets.GROUP}: {', '.join(OPEN_SETS)}")
    if from_file and names and parts:
        raise UsageError(f"{parts[0]} is rendered here, not placed; run: hmr download {parts[0]}")
    options = f" --data-root {data_root}" if data_root else ""

    if list_files:
        _show_list(assets, parts, registry, root, as_json)
    elif dry_run:
        _show_plan(assets, parts, rows, registry, root, as_json)
    elif verify:
        _verify(assets, parts, names or [], registry, root, as_json, options)
    elif from_file:
        _place(assets, from_file, registry, root, as_json, options)
    else:
        rendered = _render(parts, rows, masks, root, as_json)
        if others or as_json:
            _fetch(assets, others, rendered, registry, root, as_json, options)


def _render(
    parts: list[str], rows: int | None, masks: bool, root: Path, as_json: bool
) -> list[dict[str, Any]]:
    """Renders what is not there; as documents."""
    from hmrcli.scenes.files import row_count, written_rows

    documents = []
    for part in parts:
        state = "found"
        if written_rows(root, part, masks) < row_count(part, rows):
            open_sets.write(part, root, rows, masks)
            state = "rendered"
        documents.append(open_sets.describe(part, root, rows, state))
        if not as_json:
            print(documents[-1]["path"], flush=True)
    return documents


def _show_list(
    assets: "list[Asset]", parts: list[str], registry: "Registry", root: Path, as_json: bool
) -> None:
    rendered = [open_sets.describe(part, root) for part in parts]
    if as_json:
        _print_document(root, [_describe(asset, registry, root) for asset in assets] + rendered)
        return
    rows = [
        (
            a.name,
            a.group,
            _size(a, root),
            registry.licences[a.licence].name,
            "found" if a.present(root) else "missing",
        )
        for a in assets
    ] + [
        (d["name"], d["group"], _megabytes(d["size"]), open_sets.LICENCE["name"], d["state"])
        for d in rendered
    ]
    _print_table(("name", "group", "size", "licence", "state"), rows)
    print(f"data root: {root}")


def _show_plan(
    assets: "list[Asset]",
    parts: list[str],
    only: int | None,
    registry: "Registry",
    root: Path,
    as_json: bool,
) -> None:
    rendered = [open_sets.describe(part, root, only) for part in parts]
    if as_json:
        _print_document(root, [_describe(asset, registry, root) for asset in assets] + rendered)
        return
    rows = []
    for asset in assets:
        present = asset.present(root)
        source = (
            "in place"
            if present
            else str(asset.sources[0])
            if asset.sources
            else f"by hand, from {asset.page}"
        )
        terms = registry.terms(asset)
        rows.append((asset.name, _size(asset, root), source, str(present or asset.target(root)), terms))
    for part, document in zip(parts, rendered):
        source = "in place" if document["state"] == "found" else open_sets.source(document)
        rows.append((part, _megabytes(document["size"]), source, document["path"], open_sets.terms()))
    _print_table(("file", "size", "source", "destination", "licence"), rows)


def _verify(
    assets: "list[Asset]",
    parts: list[str],
    names: list[str],
    registry: "Registry",
    root: Path,
    as_json: bool,
    options: str,
) -> None:
    from hmrcli.assets.fetch import verify

    documents, missing = [], []
    bad: dict[str, str] = {}
    for part in parts:
        document = open_sets.describe(part, root, rows=1)
        if document["state"] == "found":
            wrong = open_sets.wrong(part, root)
            document |= {"state": "bad" if wrong else "good", "error": wrong}
            bad |= {part: wrong} if wrong else {}
            if not as_json:
                print(f"{'bad ' if wrong else 'good'}  {document['path']}")
        elif part in names:
            raise MissingFile(f"{document['path']} is missing. Run: hmr download {part}{options}")
        documents.append(document)
    for asset in assets:
        if asset.present(root) is None:
            missing += [asset] if asset.name in names else []
            documents.append(_describe(asset, registry, root))
            continue
        wrong = verify(asset, root)
        if wrong:
            bad[asset.name] = f"{asset.present(root)}: {wrong}"
        documents.append(
            {**_describe(asset, registry, root), "state": "bad" if wrong else "good", "error": wrong}
        )
        if not as_json:
            print(f"{'bad ' if wrong else 'good'}  {asset.present(root)}")
    if as_json:
        _print_document(root, documents)
    if bad:
        command = f"hmr download {' '.join(bad)}{options}"
        raise BadInput(f"{'; '.join(bad.values())}. Remove what is bad, then run: {command}")
    if missing:
        raise MissingFile(registry.how_to_get(missing[0], f"is missing in {root}", options))


def _place(
    assets: "list[Asset]", offered: Path, registry: "Registry", root: Path, as_json: bool, options: str
) -> None:
    from hmrcli.assets.fetch import place

    placed = place(assets, offered, root, options)
    if as_json:
        _print_document(root, [_describe(p.asset, registry, root, "placed", p.source) for p in placed])
        return
    for item in placed:
        print(item.path)


def _fetch(
    assets: "list[Asset]",
    names: list[str],
    rendered: list[dict[str, Any]],
    registry: "Registry",
    root: Path,
    as_json: bool,
    options: str,
) -> None:
    """Fetches what is not there; goes on after a failure and tells all failures at the end."""
    from hmrcli.assets.fetch import fetch

    documents: list[dict[str, Any]] = []
    failures: list[HmrError] = []
    told: set[str] = set()
    shelf = root / f".hmr-{secrets.token_hex(4)}"
    try:
        for asset in assets:
            state, source, error = "fetched", None, None
            if asset.present(root):
                state = "found"
            elif not asset.sources and asset.name not in names:  # of a group, but not to be had by fetching
                state = "missing"
                _say(registry.how_to_get(asset, "is placed by hand", options))
            else:
                if (
                    asset.sources
                    and asset.licence not in told
                    and registry.licences[asset.licence].restricted
                ):
                    _say(f"licence of {asset.name}: {registry.terms(asset)}")
                    told.add(asset.licence)
                try:
                    with _progress(asset.name) as progress:
                        source = fetch(
                            asset, registry, root, shelf=shelf, progress=progress, note=_say, options=options
                        ).source
                except HmrError as failure:
                    state, error = "failed", str(failure)
                    failures.append(failure)
            documents.append({**_describe(asset, registry, root, state, source), "error": error})
            if not as_json and (path := asset.present(root)):
                print(path, flush=True)
    finally:
        shutil.rmtree(shelf, ignore_errors=True)
    if as_json:
        _print_document(root, rendered + documents)
    for earlier in failures[:-1]:
        _say(f"error: {earlier}")
    if failures:
        raise failures[-1]


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on stderr for a person; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=log, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _describe(
    asset: "Asset", registry: "Registry", root: Path, state: str | None = None, source: str | None = None
) -> dict[str, Any]:
    from hmrcli.assets.fetch import known_sha256

    path, licence = asset.present(root), registry.licences[asset.licence]
    return {
        "name": asset.name,
        "group": asset.group,
        "about": asset.about,
        "state": state or ("found" if path else "missing"),
        "path": str(path or asset.target(root)),
        "size": path.stat().st_size if path and path.is_file() else asset.size,
        "sha256": known_sha256(asset, path) if path else None,
        "licence": licence.model_dump(),
        "sources": [each.browser_address for each in asset.sources],
        "page": asset.page,
        "source": source,
    }


def _print_document(root: Path, files: list[dict[str, Any]]) -> None:
    print_json({"data_root": str(root), "files": files})


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Whoever reads from a pipe gets one whole line a file.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def _size(asset: "Asset", root: Path) -> str:
    path = asset.present(root)
    size = path.stat().st_size if path and path.is_file() else asset.size
    return _megabytes(size) if size else "unknown"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _say(text: str) -> None:
    log.print(text, soft_wrap=True, markup=False)
