"""Convert settings between nested dicts and frozen dataclasses. Errors name the key."""

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeVar

from facevc_cli.core.choices import name_allowed, name_nearest
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import shorten

C = TypeVar("C")
Limits = tuple[float | None, float | None]  # least and most
MOST_COUNT = 2**31 - 1
ABOVE_ZERO = sys.float_info.min  # as a lower limit: any number above 0
NO_LIMITS: Mapping[str, Limits] = MappingProxyType({})


def to_dict(config: Any) -> dict[str, Any]:
    """Convert a dataclass to plain dicts and lists, for YAML or JSON."""
    return {
        k: list(v) if isinstance(v, tuple) else v
        for k, v in ((k, _to_plain(v)) for k, v in dataclasses.asdict(config).items())
    }


def _to_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _to_plain(v) for k, v in value.items()}
    return [_to_plain(v) for v in value] if isinstance(value, tuple | list) else value


def from_dict(kind: type[C], tree: Mapping[str, Any], where: str, limits: Mapping[str, Limits] = NO_LIMITS) -> C:
    """Build a dataclass from nested dicts.

    FaceVCError if a key is unknown, or a value has the wrong type or is outside its limits. limits: (least, most) by
    name.
    """
    if not isinstance(tree, Mapping):
        raise FaceVCError(f"{where}: expected a group of settings, found {shorten(tree)}.")
    types_by_name = typing.get_type_hints(kind)
    hints = {field.name: types_by_name[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values = {}
    for key, value in tree.items():
        if key not in hints:
            advice = name_nearest(key, hints) or f" Known: {', '.join(hints)}."
            raise FaceVCError(f"{where}: {kind.__name__} has no setting {shorten(key)}.{advice}")
        values[key] = _check_value(hints[key], value, f"{where}: {key}", limits.get(key, (None, None)), limits)
    try:
        return kind(**values)
    except TypeError as error:  # a setting without a default is missing
        raise FaceVCError(f"{where}: {error}.") from error


def _check_value(hint: Any, value: Any, where: str, limits: Limits, inner: Mapping[str, Limits]) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value, where, inner)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise FaceVCError(f"{where}: expected a list, found {shorten(value)}.")
        kinds = typing.get_args(hint)
        if Ellipsis not in kinds and len(value) != len(kinds):
            raise FaceVCError(f"{where}: expected a list of {len(kinds)}, found {shorten(value)}.")
        return tuple(_check_value(kinds[0], v, where, limits, inner) for v in value)
    if typing.get_origin(hint) is typing.Literal:
        if value not in typing.get_args(hint):
            raise FaceVCError(f"{where} {shorten(value)}: {name_allowed(value, typing.get_args(hint))}")
        return value
    if isinstance(hint, types.UnionType):
        return None if value is None else _check_value(typing.get_args(hint)[0], value, where, limits, inner)
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            value = float(value)  # YAML reads 1e-3 as text
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise FaceVCError(f"{where}: expected {hint.__name__}, found {shorten(value)}.")
    if hint in (int, float):
        _check_limits(value, hint, where, limits)
    return value


def _check_limits(value: float, hint: type, where: str, limits: Limits) -> None:
    least, most = limits
    if hint is int:
        least, most = (0 if least is None else least), (MOST_COUNT if most is None else most)
    if not math.isfinite(value):
        raise FaceVCError(f"{where}: expected a finite number, found {value}.")
    if (least is not None and value < least) or (most is not None and value > most):
        raise FaceVCError(f"{where}: expected {_describe_limits(least, most)}, found {value}.")


def _describe_limits(least: float | None, most: float | None) -> str:
    if most is not None:
        return f"a number from {least or 0:g} to {most:g}"
    return "a number above 0" if least == ABOVE_ZERO else f"at least {least:g}"
