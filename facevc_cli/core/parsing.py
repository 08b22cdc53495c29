"""Read JSON and YAML from untrusted files: within limits of size and depth, with errors of one sentence."""

import json
import reprlib
from pathlib import Path
from typing import Any

import yaml

from facevc_cli.core.errors import FaceVCError

MOST_BYTES = 1 << 20  # in a file of settings; ours have a few thousand
MOST_DEPTH = 64
MOST_NODES = 100_000  # in a YAML text; an alias counts as all the nodes that it stands for
LONGEST_SHOWN = 80  # characters of a value that a message shows
LARGEST_INT = 2**63 - 1
_Events = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is 30 times as fast, if PyYAML was built with it
# PyYAML's constructors raise these for odd scalars, such as `!!bool maybe`, `!!int ''` or a 13th month.
_ODD = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_short_repr = reprlib.Repr()
_short_repr.maxlevel, _short_repr.maxstring, _short_repr.maxother, _short_repr.maxlong = (
    2,
    LONGEST_SHOWN,
    LONGEST_SHOWN,
    LONGEST_SHOWN,
)


class StrictLoader(_Events):  # type: ignore[misc, valid-type]
    """A safe loader that refuses duplicate keys. It reads a number beyond 64 bits as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in known and key.value != "<<":
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {shorten(key.value)} appears twice")
                known.add((key.tag, key.value))
        return dict(super().construct_mapping(node, deep))

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | str:
        try:
            value: int = super().construct_yaml_int(node)
        except ValueError:  # more digits than Python can convert
            return str(node.value)
        return value if abs(value) <= LARGEST_INT else str(node.value)


StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_yaml_int)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # a list that appears twice is written twice, because `parse_yaml` refuses aliases


def dump_yaml(value: Any, width: int | None = None) -> str:
    """Write plain values as YAML, with keys in their order and without aliases."""
    return str(yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=width or 80))


def shorten(value: object, longest: int = LONGEST_SHOWN) -> str:
    """Show a value in a message, in at most `longest` characters."""
    try:
        shown = _short_repr.repr(value)
    except ValueError:  # an int with more digits than Python can write
        shown = "a number of very many digits"
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def parse_yaml(text: str, where: str, *, loader: type | None = None, aliases: bool = False) -> Any:
    """Parse a YAML text. FaceVCError if it is not YAML, too deep or too large, names a Python object, or has an alias.

    aliases: allow them; each counts as all the nodes that it stands for. loader: replaces `StrictLoader`; must derive
    from a safe loader.
    """
    try:
        _check_yaml(text, aliases)
        return yaml.load(text, Loader=loader or StrictLoader)
    except _ODD as error:
        raise FaceVCError(
            f"{where}: cannot be read (not YAML that facevc accepts: {_shorten_error(error)}). Correct the file."
        ) from error


def parse_settings(text: str, where: str) -> dict[str, Any]:
    """Parse a YAML mapping of settings. An empty text gives an empty dict."""
    parsed = parse_yaml(text, where)
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise FaceVCError(f"{where}: expected a YAML mapping of settings, found {type(parsed).__name__}.")
    return parsed


def parse_json(
    text: str | bytes,
    where: str,
    kind: type | tuple[type, ...] = dict,
    advice: str = "Restore the file, or make it again.",
) -> Any:
    """Parse a JSON text. FaceVCError if it is not JSON, too deep, or not of type `kind`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaceVCError(f"{where}: cannot be read (not JSON: {_shorten_error(error)}). {advice}") from error
    if not isinstance(found, kind):
        kinds = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise FaceVCError(f"{where}: expected JSON that holds a {kinds}, found {shorten(found)}. {advice}")
    return found


def read_json(
    path: Path, kind: type | tuple[type, ...] = dict, *, advice: str = "Restore the file, or make it again."
) -> Any:
    """Read and parse a JSON file, as `parse_json` does."""
    return parse_json(read_text(path, advice=advice), str(path), kind, advice)


def read_text(path: Path, most_bytes: int = MOST_BYTES, *, advice: str = "Check the path and the file.") -> str:
    """Read a UTF-8 file of settings. FaceVCError if it cannot be read, has another encoding, or is too large."""
    try:
        with open(path, "rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise FaceVCError(
                f"{path}: cannot be read (expected a file of settings, found more than {most_bytes >> 10} KB). {advice}"
            )
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: another encoding, or a NUL in the path
        raise FaceVCError(f"{path}: cannot be read ({_shorten_error(error)}). {advice}") from error


def _check_yaml(text: str, aliases: bool) -> None:
    """Check the parser's events one by one, without recursion.

    Stop at the first that is too deep or exceeds the node limit.
    """
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
                raise yaml.YAMLError(f"it has the alias *{str(anchor)[:20]}; replace it by the value itself")
            size = sizes[anchor]
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if anchor is not None:
            sizes[anchor] = size
        nested[-1] = (nested[-1][0], nested[-1][1] + size)
        if nested[-1][1] > MOST_NODES:
            raise yaml.YAMLError(f"more than {MOST_NODES} values")


def _shorten_error(error: Exception) -> str:
    said = " ".join(str(error).split()) if not isinstance(error, RecursionError) else "nested too deep"
    return said if len(said) <= 200 else f"{said[:197]}..."
