"""The house as docs/architecture.md has it: imports go down only, in no circle, and one room knows each algorithm."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import hmrcli
from hmrcli.algorithms import ALGORITHMS

PACKAGE = Path(hmrcli.__file__).parent
FLOORS = (
    ("cli",),
    ("results",),
    ("inference", "training", "evaluation"),
    ("scenes",),
    ("algorithms",),
    ("data",),
    ("layers",),
    ("export",),
    ("fitting",),
    ("motion",),
    ("people",),
    ("render",),
    ("body", "camera"),
    ("recipe",),
    ("assets",),
    ("distributed", "environment", "files"),
    ("errors",),
)
"""From the top."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    ".".join(("hmrcli", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports when it runs, also inside functions."""
    found: set[str] = set()
    waiting: list[ast.AST] = [parsed(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hmrcli."):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else str(node.module) for name in names}
        waiting += ast.iter_child_nodes(node)
    return found


def test_imports_go_down_only() -> None:
    up = [
        (module, other)
        for module, path in MODULES.items()
        if (room := module.partition(".")[2].partition(".")[0]) in FLOOR
        for other in imports(path)
        if FLOOR.get(other.split(".")[1], len(FLOORS)) < FLOOR[room]
    ]
    assert not up


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        module: imports(path) - {module} for module, path in MODULES.items() if path.name != "__init__.py"
    }
    assert set(TopologicalSorter(graph).static_order()) >= graph.keys()


def test_an_algorithm_is_named_in_its_room_and_in_the_table_of_all_alone() -> None:
    names = set(ALGORITHMS) - {"hmr", "pose"}  # the command's name, and a label of every set
    elsewhere = [
        (module, node.value)
        for module, path in MODULES.items()
        if not module.startswith(("hmrcli.algorithms", "hmrcli.recipe.algorithms"))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Compare)
        for node in ast.walk(node)
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert not elsewhere
