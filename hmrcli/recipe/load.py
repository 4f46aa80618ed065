"""Finds, reads and checks recipes; every error says which file, which line and which key."""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hmrcli.errors import BadInput, UsageError
from hmrcli.files import did_you_mean
from hmrcli.recipe import schema
from hmrcli.recipe.document import NEXT, Document, parse_value
from hmrcli.recipe.rules import Impossible
from hmrcli.recipe.schema import Recipe, Section

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "bundled" / "recipes", _PACKAGE.parent / "recipes")
"""In an installed wheel and in a checkout."""

_WORDS = (
    ("a valid integer", "an integer"),
    ("a valid", "a"),
    ("an object", "a mapping"),
    ("an array", "a list"),
    ("a array", "a list"),
)
"""What pydantic says and what we say."""

_Key = tuple[str | int, ...]


def recipe_names() -> tuple[str, ...]:
    """Names of the bundled recipes, sorted."""
    return tuple(sorted(_bundled()))


def load_recipe(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        name_or_path: name of a bundled recipe, or a YAML file.
        overrides: `KEY=VALUE` each, where KEY leads to the value by dots (`optimizer.lr`) and VALUE is YAML.

    Raises:
        BadInput: there is no such recipe, or it has an unknown key, a wrong value or an impossible
            combination; names file, line and key.
        UsageError: an override is not of the form `KEY=VALUE`.
    """
    document = Document(_find(name_or_path))
    changed = {key: text for text in overrides for key in [_override(document.values, text)]}
    try:
        # JSON, because its arrays and objects are what strict tuples and mappings may be read from.
        return Recipe.model_validate_json(json.dumps(document.values, default=str))
    except ValidationError as error:
        key, message = _explain(error, document.values)
    text = next((text for start, text in changed.items() if all(a == b for a, b in zip(start, key))), None)
    place = f"override `{text}`" if text else f"{document.path}:{document.line(key)}"
    raise BadInput(f"{place}: `{_dotted(key)}`: {message}; {NEXT}")


def _bundled() -> dict[str, Path]:
    return {path.stem: path for folder in _FOLDERS for path in folder.glob("*.yaml")}


def _find(name_or_path: str | Path) -> Path:
    bundled, path = _bundled(), Path(name_or_path).expanduser()
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    if path.is_file():
        return path
    near = difflib.get_close_matches(path.stem, bundled, n=3)
    if path.suffix and (file := did_you_mean(path)):
        raise BadInput(f"{name_or_path}: there is no such recipe file{file}")
    hint = f"did you mean {', '.join(near)}?" if near else f"the bundled ones are {', '.join(recipe_names())}"
    what = "there is no such recipe file" if path.suffix else "no recipe has this name"
    raise BadInput(f"{name_or_path}: {what}; {hint}")


def _override(values: dict[str, Any], text: str) -> _Key:
    """Sets the value that an override names; returns its key."""
    dotted, equals, value = text.partition("=")
    key = tuple(dotted.strip().split("."))
    if not equals or not all(key):
        raise UsageError(f"{text!r} is no override, expected KEY=VALUE, for example optimizer.lr=1e-4")
    section: Any = values
    for depth, part in enumerate(key[:-1], start=1):
        if not isinstance(section.get(part), dict):
            what = "has no keys in this recipe" if part in section else _unknown(part)
            raise BadInput(f"override `{text}`: `{_dotted(key[:depth])}`: {what}; {NEXT}")
        section = section[part]
    try:
        section[key[-1]] = parse_value(value)
    except ValueError as error:
        raise BadInput(f"override `{text}`: the value is no YAML ({error}); {NEXT}") from error
    return key


def _explain(error: ValidationError, values: dict[str, Any]) -> tuple[_Key, str]:
    """The key to change and what is wrong with it.

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
        return key, _unknown(str(key[-1]))
    messages = list(dict.fromkeys(detail["msg"] for detail in meant))
    expected = " or ".join(message.removeprefix("Input should be ") for message in messages)
    for words, ours in _WORDS:
        expected = expected.replace(words, ours)
    lead = "expected " if messages[0].startswith("Input should be ") else ""
    found = meant[0]["input"]
    shown = "a mapping" if isinstance(found, dict) else json.dumps(found, default=str)
    return key, f"{lead}{expected}, found {shown}"


def _locate(location: tuple[str | int, ...], kind: str, values: Any) -> _Key:
    """The key of the file that an error's location stands for."""
    key: list[str | int] = []
    for part in location:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue  # the name of a union's member, which is no key of the file
        key.append(part)
    return (*key, location[-1]) if kind == "missing" else tuple(key)


def _unknown(word: str) -> str:
    fields = {
        field
        for value in vars(schema).values()
        if isinstance(value, type) and issubclass(value, Section)
        for field in value.model_fields
    }
    near = difflib.get_close_matches(word, sorted(fields), n=1)
    return "unknown key" + (f", did you mean `{near[0]}`?" if near else "")


def _dotted(key: _Key) -> str:
    return ".".join(str(part) for part in key)
