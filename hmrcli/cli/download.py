"""`hmr download`: puts files in place under the data root."""

import secrets
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from hmrcli.assets.data_root import data_root as find_data_root
from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.cli import open_sets, options
from hmrcli.cli.console import bar, log, print_json
from hmrcli.errors import BadInput, HmrError, MissingFile, UsageError
from hmrcli.files import did_you_mean

if TYPE_CHECKING:
    from hmrcli.assets.registry import Asset, Registry

_Document = dict[str, Any]
"""A file as `--json` describes it."""


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
    data_root: options.DataRoot = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Render at most so many rows of each part of the open data set.")
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Open data set: write masks of body parts beside the pictures.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Fetch weights and data, place yours, or render open sets.

    There are backbones, trained models, annotations and body files.

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
    files = _Files(registry, root, f" --data-root {data_root}" if data_root else "", as_json)

    if list_files or dry_run:
        documents = [files.describe(asset) for asset in assets]
        documents += [open_sets.describe(part, root, rows) for part in parts]
        if as_json:
            files.print_documents(documents)
        elif list_files:
            cells = [(d["name"], d["group"], _size(d), d["licence"]["name"], d["state"]) for d in documents]
            _print_table(("name", "group", "size", "licence", "state"), cells)
            print(f"data root: {root}")
        else:
            _show_plan(documents, registry)
    elif verify:
        _verify(files, assets, parts, names or [])
    elif from_file:
        _place(files, assets, from_file)
    else:
        rendered = _render(files, parts, rows, masks)
        if others or as_json:
            _fetch(files, assets, others, rendered)


class _Files(NamedTuple):
    """The command's view of the data root."""

    registry: "Registry"
    root: Path
    further: str
    """Further options of the commands that messages end with."""
    as_json: bool

    def describe(self, asset: "Asset", **changes: Any) -> _Document:
        """Describes a file as `--json` does; `changes` are of what was done with it."""
        from hmrcli.assets.fetch import known_sha256

        path = asset.present(self.root)
        document = {
            "name": asset.name,
            "group": asset.group,
            "about": asset.about,
            "state": "found" if path else "missing",
            "path": str(path or asset.target(self.root)),
            "size": path.stat().st_size if path and path.is_file() else asset.size,
            "sha256": known_sha256(asset, path) if path else None,
            "licence": self.registry.licences[asset.licence].model_dump(),
            "sources": [each.browser_address for each in asset.sources],
            "page": asset.page,
            "make": asset.make_command,
            "source": None,
        }
        return document | changes

    def print_documents(self, documents: list[_Document]) -> None:
        """Prints what `--json` asks for; nothing without it."""
        if self.as_json:
            print_json({"data_root": str(self.root), "files": documents})

    def print_path(self, path: object, *before: str) -> None:
        """Prints a file that is done with, unless `--json` tells all at the end."""
        if not self.as_json:
            print(*before, path, flush=True)


def _render(files: _Files, parts: list[str], rows: int | None, masks: bool) -> list[_Document]:
    """Renders what is not there."""
    from hmrcli.scenes.files import row_count, written_rows

    documents = []
    for part in parts:
        state = "found"
        if written_rows(files.root, part, masks) < row_count(part, rows):
            open_sets.write(part, files.root, rows, masks)
            state = "rendered"
        documents.append(open_sets.describe(part, files.root, rows, state))
        files.print_path(documents[-1]["path"])
    return documents


def _show_plan(documents: list[_Document], registry: "Registry") -> None:
    rows = []
    for document in documents:
        asset, licence = registry.by_name.get(document["name"]), document["licence"]
        if document["state"] == "found":
            source = "in place"
        elif asset is None:
            minutes = max(1, round(document["seconds"] / 60))
            source = f"rendered here, {document['rows']:,} pictures in about {minutes} min"
        else:
            ways = [str(asset.sources[0])] if asset.sources else []
            if made := asset.make_command:
                ways.append(f"{made}, from the official download" + ("" if ways else f" ({asset.page})"))
            source = ", or ".join(ways) or f"by hand, from {asset.page}"
        terms = f"{licence['name']}: {licence['who']}" + (f" ({licence['page']})" if licence["page"] else "")
        rows.append((document["name"], _size(document), source, document["path"], terms))
    _print_table(("file", "size", "source", "destination", "licence"), rows)


def _verify(files: _Files, assets: "list[Asset]", parts: list[str], names: list[str]) -> None:
    from hmrcli.assets.fetch import verify

    rendered = [(open_sets.describe(part, files.root, 1), partial(open_sets.wrong, part)) for part in parts]
    fetched = [(files.describe(asset), partial(verify, asset)) for asset in assets]
    bad: dict[str, str] = {}
    for document, check in (*rendered, *fetched):
        if document["state"] != "found":
            continue
        wrong, path = check(files.root), document["path"]
        document |= {"state": "bad" if wrong else "good", "error": wrong}
        if wrong:
            bad[document["name"]] = f"{path}: {wrong}"
        files.print_path(path, "bad  " if wrong else "good ")
    documents = [document for document, _ in (*rendered, *fetched)]
    files.print_documents(documents)
    if bad:
        command = f"hmr download {' '.join(bad)}{files.further}"
        raise BadInput(f"{'; '.join(bad.values())}. Remove what is bad, then run: {command}")
    for document in documents:
        if document["state"] == "missing" and (name := document["name"]) in names:
            if asset := files.registry.by_name.get(name):
                raise MissingFile(
                    files.registry.how_to_get(asset, f"is missing in {files.root}", files.further)
                )
            raise MissingFile(f"{document['path']} is missing. Run: hmr download {name}{files.further}")


def _place(files: _Files, assets: "list[Asset]", offered: Path) -> None:
    from hmrcli.assets.fetch import place

    placed = place(assets, offered, files.root, files.further)
    files.print_documents([files.describe(p.asset, state="placed", source=p.source) for p in placed])
    for item in placed:
        files.print_path(item.path)


def _fetch(files: _Files, assets: "list[Asset]", names: list[str], rendered: list[_Document]) -> None:
    """Fetches what is not there; goes on after a failure and tells all failures at the end."""
    from hmrcli.assets.fetch import fetch

    registry, root, further, _ = files
    documents: list[_Document] = []
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
                _say(registry.how_to_get(asset, "is placed by hand", further))
            else:
                restricted = asset.sources and registry.licences[asset.licence].restricted
                if restricted and asset.licence not in told:
                    _say(f"licence of {asset.name}: {registry.terms(asset)}")
                    told.add(asset.licence)
                try:
                    with bar(asset.name, of_bytes=True) as progress:
                        source = fetch(
                            asset, registry, root, shelf=shelf, progress=progress, note=_say, options=further
                        ).source
                except HmrError as failure:
                    state, error = "failed", str(failure)
                    failures.append(failure)
            documents.append(files.describe(asset, state=state, source=source, error=error))
            if path := asset.present(root):
                files.print_path(path)
    finally:
        shutil.rmtree(shelf, ignore_errors=True)
    files.print_documents(rendered + documents)
    for earlier in failures[:-1]:
        _say(f"error: {earlier}")
    if failures:
        raise failures[-1]


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


def _size(document: _Document) -> str:
    return f"{document['size'] / 1e6:,.1f} MB" if document["size"] else "unknown"


def _say(text: str) -> None:
    log.print(text, soft_wrap=True, markup=False)
