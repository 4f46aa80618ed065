"""YAML documents that know the line of each key, and that cannot run code.

The scalars are those of YAML 1.2 (`1e-4` is a number, `on` is a word). Anchors are refused: a recipe says
everything where it is read.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from hmrcli.errors import BadInput

NEXT = "`hmr train --recipe hmr_normal --dry-run` shows a whole recipe"
"""End of messages about recipes."""

Key = tuple[str | int, ...]
"""Names of sections, or places in a list, and the name of a value."""

_LARGEST = 200_000
"""Bytes; a longer file is no recipe."""

_DEEPEST = 50
"""Collections in each other."""

_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (r"[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.inf)|\.nan", list("-+.0123456789")),
}


_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of libyaml, seven times as fast; PyYAML's wheels have it."""


class _Loader(_Fast):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


class Document:
    """A YAML mapping and the lines of its keys.

    Raises:
        BadInput: the file is no YAML mapping, has a key twice, or asks for more than plain data.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"{path}: is too large to be a recipe; {NEXT}")
        try:
            self._lines, self.values = _read(path.read_bytes())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            raise BadInput(f"{path}{line}: {error.problem or error.context}; {NEXT}") from error
        except Exception as error:  # what YAML makes of tags that do not fit their values fails in many ways
            raise BadInput(f"{path}: cannot be read as YAML ({_first_line(error)}); {NEXT}") from error
        if not isinstance(self.values, dict):
            found = "nothing" if self.values is None else type(self.values).__name__
            raise BadInput(f"{path}: expected a mapping of keys to values, found {found}; {NEXT}")

    def line(self, key: Key) -> int:
        """Line of a key, from 1; of the innermost mapping or list around it where it is not there."""
        there = (key[:depth] for depth in range(len(key), 0, -1) if key[:depth] in self._lines)
        return self._lines.get(next(there, ()), 1)


def parse_value(text: str) -> Any:
    """Reads the value that a YAML document consists of; ValueError when it is none."""
    try:
        return _read(text.encode())[1]
    except Exception as error:  # as above
        raise ValueError(_first_line(error)) from error


def dump_document(values: dict[str, Any]) -> str:
    """YAML in the given order of keys."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=110)


def _read(text: bytes) -> tuple[dict[Key, int], Any]:
    """Gives the line of each key, and the values."""
    _refuse_more_than_data(text)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}, None
        return dict(_lines(root)), loader.construct_document(root)
    finally:
        loader.dispose()


def _refuse_more_than_data(text: bytes) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            _refuse("anchors and aliases are not allowed; write the value out", event)
        tag = str(getattr(event, "tag", None))
        if tag.startswith("tag:yaml.org,2002:") and "python" not in tag:
            _refuse("tags are not allowed", event)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            _refuse("is nested too deeply", event)


def _lines(node: yaml.Node, start: Key = ()) -> Iterator[tuple[Key, int]]:
    """Gives the line of each key and each place in a list; refuses keys that are given twice."""
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield (*start, index), child.start_mark.line + 1
            yield from _lines(child, (*start, index))
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                _refuse("a key must be a word", key)
            if key.value in lines:
                _refuse(f"key `{key.value}` is already given in line {lines[key.value]}", key)
            lines[key.value] = key.start_mark.line + 1
            yield (*start, key.value), lines[key.value]
            yield from _lines(value, (*start, key.value))


def _refuse(problem: str, at: Any) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _first_line(error: BaseException) -> str:
    return (getattr(error, "problem", None) or str(error) or type(error).__name__).splitlines()[0]
