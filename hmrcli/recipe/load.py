"""Finds, reads and checks recipes; every error says which file, which line and which key."""

import contextlib
import difflib
import json
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from hmrcli.errors import BadInput, UsageError
from hmrcli.files import did_you_mean, near
from hmrcli.recipe.document import NEXT, Document, Key, parse_value
from hmrcli.recipe.recipe import Impossible, Recipe
from hmrcli.recipe.schema import Section

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "bundled" / "recipes", _PACKAGE.parent / "recipes")
"""In an installed wheel and in a checkout."""
_OPEN = "open_"
"""Before the name of a row that the open benchmark is laid over."""

_EXPECTED = {
    "string_type": "text",
    **dict.fromkeys(("int_type", "int_from_float"), "an integer"),
    "float_type": "a number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "greater than or equal to {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "less than or equal to {le:g}",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("mapping_type", "dict_type", "model_type", "model_attributes_type"), "a mapping"),
}
"""Contents that a key should have, by pydantic's name for what is wrong with it."""
_SHOWN = 80
"""Letters of a value that messages quote."""


def recipe_names() -> tuple[str, ...]:
    """Lists the names of the bundled recipes, sorted."""
    return tuple(sorted(_bundled()))


def recipe_titles() -> dict[str, str]:
    """Returns the first line of each bundled recipe, which says what it is, by its name."""
    first = {name: _bundled()[name].read_text(encoding="utf-8").partition("\n")[0] for name in recipe_names()}
    return {name: line.removeprefix("# ") for name, line in first.items()}


class Source(NamedTuple):
    """Arguments of `load_recipe` for a recipe of a known name."""

    name: str
    open: bool

    @property
    def arguments(self) -> str:
        """Returns the same for `hmr train`."""
        return f"--recipe {self.name}{' --open' if self.open else ''}"


def source_of(name: str) -> Source | None:
    """Finds the bundled recipe behind a recipe's name: `open_R` is `R` with the open benchmark laid over it."""
    if name in _bundled():
        return Source(name, False)
    row = name.removeprefix(_OPEN)
    return Source(row, True) if row != name and row in _bundled() else None


def load_recipe(
    name_or_path: str | Path,
    overrides: Iterable[str] = (),
    say: Callable[[str], None] = lambda text: None,
    *,
    open: bool = False,
) -> Recipe:
    """Reads a recipe.

    Args:
        name_or_path: name of a bundled recipe, or a YAML file.
        overrides: `KEY=VALUE` each, where KEY leads to the value by dots (`optimizer.lr`) and VALUE is YAML. Where
            the epochs are fewer than the file's, its decays of the rate that would come later are left out.
        say: for a note on that.
        open: lay the open benchmark over it: body, sets, test, start and size need no licensed file then.

    Raises:
        BadInput: there is no such recipe, or it has an unknown key, a wrong value or an impossible
            combination; names file, line and key.
        UsageError: an override is not of the form `KEY=VALUE`, or the recipe is of the open benchmark already.
    """
    document = Document(_find(name_or_path))
    if open:
        _lay_open_over(document.values, name_or_path)
    changed: dict[Key, str] = {}
    typed: set[str] = set()
    for text in overrides:
        key, value = _override(document.values, text)
        changed.pop(key, None)
        changed[key] = text
        typed.update(_texts(value))
    schedule = document.values.get("schedule")
    decays = any(key[:2] == ("schedule", "lr_decay") for key in changed)
    if ("schedule", "epochs") in changed and not decays and isinstance(schedule, dict):
        _drop_late_decays(schedule, say)
    # What a run wrote down of itself may have paths that were typed when it began.
    record = document.path.name == "recipe.yaml" and document.path.with_name("environment.json").is_file()
    try:
        # JSON, because its arrays and objects are what strict tuples and mappings may be read from.
        text = json.dumps(document.values, default=str)
        return Recipe.model_validate_json(text, context={"typed": typed, "record": record})
    except ValidationError as error:
        key, message = _explain(error, document.values)
    last_first = reversed(changed.items())
    to_blame = (text for start, text in last_first if all(a == b for a, b in zip(start, key)))
    place = next((f"override `{text}`" for text in to_blame), f"{document.path}:{document.line(key)}")
    raise BadInput(f"{place}: {f'`{_dotted(key)}`: ' if key else ''}{message}; {NEXT}")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, at whatever depth of its sections."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else ():
        yield from _texts(each)


def _lay_open_over(values: dict[str, Any], name_or_path: str | Path) -> None:
    """Changes a recipe's values to those of the open benchmark; what is of a wrong kind is told later."""
    if values.get("body_model") == "open":
        raise UsageError(f"{name_or_path}: is of the open benchmark already; leave out --open")
    if isinstance(values.get("data"), dict):
        values["data"]["mixture"] = {}
    row = f"{values.get('algorithm')}_{values.get('variant')}"
    path = next(path for path in (folder / "overlays" / "open.yaml" for folder in _FOLDERS) if path.is_file())
    for pattern, changes in Document(path).values.items():
        if fnmatchcase(row, pattern):
            _merge(values, changes)
    values["name"] = f"{_OPEN}{values.get('name')}"


def _merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, change in changes.items():
        if isinstance(change, dict) and isinstance(values.get(key), dict):
            _merge(values[key], change)
        else:
            values[key] = change


def _bundled() -> dict[str, Path]:
    return {path.stem: path for folder in _FOLDERS for path in folder.glob("*.yaml")}


def _find(name_or_path: str | Path) -> Path:
    bundled, path = _bundled(), Path(name_or_path)
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    with contextlib.suppress(OSError, RuntimeError):  # a name too long, or the home of nobody
        if path.expanduser().is_file():
            return path.expanduser()
    if known := source_of(path.stem):  # has no file of its own
        raise BadInput(f"{name_or_path}: no recipe has this name; did you mean {known.arguments}?")
    what = "there is no such recipe file" if path.suffix else "no recipe has this name"
    hint = did_you_mean(path) if path.suffix else ""
    hint = hint or near(path.stem, bundled, most=3) or f"; the bundled ones are {', '.join(recipe_names())}"
    raise BadInput(f"{name_or_path}: {what}{hint}")


def _override(values: dict[str, Any], text: str) -> tuple[Key, Any]:
    """Sets the value that an override names; returns its key and the value."""
    dotted, equals, value = text.partition("=")
    key = tuple(dotted.strip().split("."))
    if not equals or not all(key):
        raise UsageError(f"{text!r} is no override, expected KEY=VALUE, for example optimizer.lr=1e-4")
    section: Any = values
    for depth, part in enumerate(key[:-1], start=1):
        if not isinstance(section.get(part), dict):
            what = "has no keys in this recipe" if part in section else _unknown(key[:depth], values)
            raise BadInput(f"override `{text}`: `{_dotted(key[:depth])}`: {what}; {NEXT}")
        section = section[part]
    try:
        section[key[-1]] = parsed = parse_value(value)
    except ValueError as error:
        raise BadInput(f"override `{text}`: the value is no YAML ({error}); {NEXT}") from error
    return key, parsed


def _drop_late_decays(schedule: dict[str, Any], say: Callable[[str], None]) -> None:
    """Leaves out decays of the rate after the last epoch; what is of a wrong kind is told later."""
    decay, last = schedule.get("lr_decay"), schedule.get("epochs")
    if not isinstance(decay, dict) or not isinstance(decay.get("epochs"), list) or type(last) is not int:
        return
    late = [epoch for epoch in decay["epochs"] if type(epoch) is int and epoch >= last]
    kept = [epoch for epoch in decay["epochs"] if epoch not in late]
    if late:
        schedule["lr_decay"] = {**decay, "epochs": kept} if kept else None
        say(f"schedule.epochs={last}: the rate's decay at epoch {', '.join(map(str, late))} is left out")


def _explain(error: ValidationError, values: dict[str, Any]) -> tuple[Key, str]:
    """Finds the key to change and what is wrong with it.

    An unknown key comes first, since it is often the misspelt one that another error misses. Of the members
    of a union the one that agrees furthest with the file is meant.
    """
    details = sorted(error.errors(include_url=False), key=lambda d: d["type"] != "extra_forbidden")
    keys = [_locate(detail["loc"], detail["type"], values) for detail in details]
    key = max((key for key in keys if key[: len(keys[0])] == keys[0]), key=len)
    meant = [detail for detail, its_key in zip(details, keys) if its_key == key]
    cause = meant[0].get("ctx", {}).get("error")
    if isinstance(cause, Impossible):
        return cause.key, str(cause)
    if meant[0]["type"] == "missing":
        return key, "is missing"
    if meant[0]["type"] == "extra_forbidden":
        return key, _unknown(key, values)
    return key, _said(meant)


def _said(meant: list[Any]) -> str:
    """Says what was expected and found, in plain words."""
    wanted: dict[str, None] = {}
    for detail in meant:
        context = detail.get("ctx", {})
        if isinstance(cause := context.get("error"), ValueError):
            wanted[str(cause)] = None
        elif detail["type"] == "json_invalid":
            return "it is nested too deeply, or has characters that are none"
        else:
            wanted[_EXPECTED.get(detail["type"], "another value").format(**context)] = None
    found = meant[0]["input"]
    shown = "a mapping" if isinstance(found, dict) else json.dumps(found, default=str)
    return f"expected {' or '.join(wanted)}, found {shown if len(shown) < _SHOWN else shown[:_SHOWN] + '…'}"


def _locate(location: tuple[str | int, ...], kind: str, values: Any) -> Key:
    """Finds the key of the file that an error's location stands for."""
    key: list[str | int] = []
    for part in location:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue  # the name of a union's member, which is no key of the file
        key.append(part)
    return (*key, location[-1]) if kind == "missing" else tuple(key)


def _unknown(key: Key, values: dict[str, Any]) -> str:
    """Says so, with the recipe's keys of the same last name wherever they are, or of one much like it."""
    fields = {field for section in Section.__subclasses__() for field in section.model_fields}
    word, paths = str(key[-1]), [path for path in _paths(values) if path != key]
    known = any(path[-1] == word for path in paths)
    names = [word] if known else difflib.get_close_matches(word, sorted(fields), n=1)
    there = [path for path in paths if path[-1] in names]
    if any(path[:-1] == key[:-1] for path in there):
        there = []
    shown = list(map(_dotted, there)) or names
    return "unknown key" + (f", did you mean `{'` or `'.join(shown)}`?" if shown else "")


def _paths(values: dict[str, Any], start: Key = ()) -> Iterator[Key]:
    for name, value in values.items():
        yield (*start, name)
        if isinstance(value, dict):
            yield from _paths(value, (*start, name))


def _dotted(key: Key) -> str:
    return ".".join(str(part) for part in key)
