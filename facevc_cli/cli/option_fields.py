"""Makes options of a command from the fields of a dataclass, so that two commands can share them."""

import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from functools import wraps
from inspect import Parameter, Signature
from typing import Any, TypeVar

T = TypeVar("T")


def takes_fields_of(kind: type[T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """Decorates a command: Typer gets each field as an option, and the command gets one object of `kind`.

    kind: a dataclass. Its fields are annotated like a command's parameters.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    parameters = [_make_parameter(field, hints[field.name]) for field in fields(kind)]  # type: ignore[arg-type]

    def decorate(command: Callable[[T], None]) -> Callable[..., None]:
        @wraps(command)
        def call(**options: Any) -> None:
            command(kind(**options))

        call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return decorate


def _make_parameter(field: Field[Any], annotation: Any) -> Parameter:
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
