"""A report out of its JSON form: what `rendering.as_json` made of it, turned round.

A week that was written is shown from its document, by every form and in the same figures. A document of
an older release may lack what was added since: such a part takes its default, or is empty.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, Union

T = TypeVar("T")

_UNIONS = (Union, types.UnionType)


def from_json(kind: type[T], document: Mapping[str, Any]) -> T:
    """The dataclass `kind` (`measures.Report`, say) of its JSON form."""
    read: T = _read(kind, document)
    return read


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _read(hint: Any, value: Any) -> Any:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if value is None or hint is Any:
        return value
    if origin in _UNIONS:
        kinds = [each for each in inside if each is not type(None)]
        return _read(kinds[0], value) if len(kinds) == 1 else value
    if origin is tuple:
        if len(inside) == 2 and inside[1] is Ellipsis:
            return tuple(_read(inside[0], item) for item in value)
        return tuple(_read(each, item) for each, item in zip(inside, value, strict=False))
    if origin is list:
        return [_read(inside[0], item) for item in value]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(inside[1], item) for key, item in sorted(value.items())}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if hint is Decimal:
        return Decimal(value)
    return float(value) if hint is float else value


def _dataclass(kind: type[Any], value: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            found[field.name] = _read(hints[field.name], value[field.name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            found[field.name] = _nothing(hints[field.name])
    return kind(**found)


def _nothing(hint: Any) -> Any:
    """What stands for a part that the document does not have."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or type(None) in inside:
        return None
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, {})
    return (origin or hint)()
