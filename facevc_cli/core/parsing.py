"""JSON and YAML: what others wrote or damaged is read within limits of size and depth, and refused in one sentence."""

import json
import reprlib
from pathlib import Path
from typing import Any

import yaml

from facevc_cli.core.errors import FaceVCError

MOST_BYTES = 1 << 20  # of a file of settings; ours have a few thousand
MOST_DEPTH = 64
MOST_NODES = 100_000  # of a YAML text, each alias counted as what it stands for
LONGEST_SHOWN = 80  # characters of a value in a message
LARGEST_INT = 2**63 - 1
_Events = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is thirty times as fast, where PyYAML was built with it
# what PyYAML's constructors raise about odd scalars, such as `!!bool maybe`, `!!int ''` or a 13th month
_ODD = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_brief = reprlib.Repr()
_brief.maxlevel, _brief.maxstring, _brief.maxother, _brief.maxlong = 2, LONGEST_SHOWN, LONGEST_SHOWN, LONGEST_SHOWN


class StrictLoader(_Events):  # type: ignore[misc, valid-type]
    """A safe loader that refuses a key given twice, and reads a number beyond 64 bits as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in known and key.value != "<<":
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {shorten(key.value)} is there twice")
                known.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | str:
        try:
            value: int = super().construct_yaml_int(node)
        except ValueError:  # more digits than Python converts
            return str(node.value)
        return value if abs(value) <= LARGEST_INT else str(node.value)


StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_yaml_int)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # a list that is there twice is written twice: `parse_yaml` refuses aliases


def dump_yaml(value: Any, width: int | None = None) -> str:
    """Plain values as YAML, keys in their order, without aliases."""
    return str(yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=width or 80))


def shorten(value: object, longest: int = LONGEST_SHOWN) -> str:
    """A value for a message, at most `longest` characters of it."""
    try:
        shown = _brief.repr(value)
    except ValueError:  # an int of more digits than Python writes
        shown = "a number of very many digits"
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def parse_yaml(text: str, where: str, *, loader: type | None = None, aliases: bool = False) -> Any:
    """What a YAML text says; FaceVCError where it is none, too deep, too large, names a Python object or holds an alias.

    aliases: may be there, and count as what they stand for. loader: another one than `StrictLoader`, derived from a safe one.
    """
    try:
        _check_yaml(text, aliases)
        return yaml.load(text, Loader=loader or StrictLoader)
    except _ODD as error:
        raise FaceVCError(f"{where}: cannot be read (not YAML as it is read here: {_one_line(error)}). Correct the file.") from error


def parse_settings(text: str, where: str) -> dict[str, Any]:
    """A YAML mapping whose keys are names; nothing for an empty text."""
    parsed = parse_yaml(text, where)
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise FaceVCError(f"{where}: expected a YAML mapping of settings, found {type(parsed).__name__}.")
    return parsed


def parse_json(text: str | bytes, where: str, kind: type | tuple[type, ...] = dict, advice: str = "Restore the file, or make it again.") -> Any:
    """What a JSON text says; FaceVCError where it is none, too deep, or of another kind than `kind`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaceVCError(f"{where}: cannot be read (not JSON: {_one_line(error)}). {advice}") from error
    if not isinstance(found, kind):
        kinds = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise FaceVCError(f"{where}: expected JSON that holds a {kinds}, found {shorten(found)}. {advice}")
    return found


def read_json(path: Path, kind: type | tuple[type, ...] = dict, *, advice: str = "Restore the file, or make it again.") -> Any:
    """The same of a file."""
    return parse_json(read_text(path, advice=advice), str(path), kind, advice)


def read_text(path: Path, most_bytes: int = MOST_BYTES, *, advice: str = "Check the path and the file.") -> str:
    """A UTF-8 file of settings; FaceVCError where it cannot be read, is of another encoding or too large to be one."""
    try:
        with open(path, "rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise FaceVCError(f"{path}: cannot be read (expected a file of settings, found more than {most_bytes >> 10} KB). {advice}")
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: another encoding, or a NUL in the path
        raise FaceVCError(f"{path}: cannot be read ({_one_line(error)}). {advice}") from error


def _check_yaml(text: str, aliases: bool) -> None:
    """Goes through the events, which takes no recursion, and stops at the first that is too deep or one too many."""
    sizes: dict[str, int] = {}  # nodes by anchor
    nested: list[tuple[str | None, int]] = [(None, 0)]  # anchor and nodes so far of each open collection
    for event in yaml.parse(text, Loader=_Events):
        size, anchor = 1, getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(nested) > MOST_DEPTH:
                raise yaml.YAMLError(f"nested more than {MOST_DEPTH} deep")
            nested.append((anchor, 1))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = nested.pop()
        elif isinstance(event, yaml.AliasEvent):
            if not aliases or anchor not in sizes:
                raise yaml.YAMLError(f"it has the alias *{str(anchor)[:20]}; write the value itself in its place")
            size = sizes[anchor]
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if anchor is not None:
            sizes[anchor] = size
        nested[-1] = (nested[-1][0], nested[-1][1] + size)
        if nested[-1][1] > MOST_NODES:
            raise yaml.YAMLError(f"more than {MOST_NODES} values")


def _one_line(error: Exception) -> str:
    said = " ".join(str(error).split()) if not isinstance(error, RecursionError) else "nested too deep"
    return said if len(said) <= 200 else f"{said[:197]}..."
