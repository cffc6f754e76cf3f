"""Frozen values to plain JSON values and back, forgiving what a newer or older version wrote.

Unknown fields are ignored, missing ones take their default, and unknown words of an enumeration
become the most careful member where one is named here.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from drivers.model.event import EventKind, Severity
from drivers.model.job import Confirm, JobState, Verdict

T = TypeVar("T")

_CAREFUL: dict[type[StrEnum], StrEnum] = {
    JobState: JobState.INTERRUPTED,
    Verdict: Verdict.NOT_TESTED,
    Confirm: Confirm.TYPED,
    Severity: Severity.INFO,
    EventKind: EventKind.WARNING,
}


def to_plain(value: object) -> Any:
    """JSON-able form of a frozen value of the model."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    if isinstance(value, str):
        return str(value)  # a word of an enumeration becomes a plain one
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def from_plain(kind: type[T], data: object) -> T:
    """The value of a dataclass ``kind`` from its JSON-able form.

    Raises:
        ValueError: The data cannot be read as such a value.
    """
    try:
        value: T = _read(kind, data)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, data: object) -> Any:
    origin = get_origin(kind)
    if origin is Union or origin is types.UnionType:
        return _read_optional(kind, data)
    if origin is tuple:
        return _read_tuple(get_args(kind), data)
    if origin is not None and issubclass(origin, Mapping):
        return {str(k): str(v) for k, v in dict(data).items()}  # type: ignore[call-overload]
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, data)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _read_word(kind, data)
    return _read_scalar(kind, data)


def _read_optional(kind: Any, data: object) -> Any:
    members = [m for m in get_args(kind) if m is not type(None)]
    if data is None:
        return None
    return _read(members[0], data)


def _read_tuple(members: tuple[Any, ...], data: object) -> tuple[Any, ...]:
    if not isinstance(data, Sequence) or isinstance(data, str):
        raise ValueError("a list was expected")
    if len(members) == 2 and members[1] is Ellipsis:
        return tuple(_read(members[0], item) for item in data)
    return tuple(_read(m, item) for m, item in zip(members, data, strict=True))


def _read_dataclass(kind: Any, data: object) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"an object was expected for {kind.__name__}")
    hints = _hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    return kind(**{name: _read(hints[name], data[name]) for name in names if name in data})


def _read_word(kind: type[StrEnum], data: object) -> StrEnum:
    try:
        return kind(str(data))
    except ValueError:
        if kind in _CAREFUL:
            return _CAREFUL[kind]
        raise


def _read_scalar(kind: Any, data: object) -> object:
    if kind is object or kind is Any:
        return data
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if kind in (int, float, str, bool) and type(data) is not kind:
        raise ValueError(f"{kind.__name__} was expected, not {type(data).__name__}")
    return data
