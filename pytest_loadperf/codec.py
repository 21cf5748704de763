"""Dataclasses to plain data and back, for records on disk and frames between processes.

Written by hand because it is one page: the libraries that do this (cattrs, pydantic, msgspec) bring a schema
language or a compiled part, and their versions would have to agree with the user's own.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """The value as dicts, lists, strings, numbers, booleans and None; fields at their default are left out.

    A class of its own says with `to_text` and `of_text` how it is written and read.
    """
    if type(value) in (int, str):  # most of what there is: a generator holds its users up for as long as this takes
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN; `from_plain` gives it back for a float
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {}
        for field in dataclasses.fields(value):
            content = getattr(value, field.name)
            if not _is_default(field, content):
                plain[field.name] = to_plain(content)
        return plain
    if isinstance(value, Mapping):
        return {str(key): to_plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(content) for content in value]
    if hasattr(value, "to_text"):
        return value.to_text()
    return value


def _is_default(field: dataclasses.Field[Any], content: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        same = content is field.default or content == field.default
        return type(content) is type(field.default) and bool(same)
    if field.default_factory is not dataclasses.MISSING:
        return bool(content == field.default_factory())
    return False


def from_plain(kind: type[T], plain: Any) -> T:
    """The dataclass that `to_plain` wrote; unknown keys are ignored, a missing or misshapen one is a ValueError."""
    try:
        made: T = _reader(kind)(plain)  # type: ignore[arg-type] # mypy does not see that a class is hashable
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"this is not a {kind.__name__}: {type(error).__name__}: {error}") from error
    return made


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """A function from plain data to `kind`, made once per type: a history holds thousands of each."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_reader(arguments)
    if origin is dict:
        return _dict_reader(*arguments)
    if origin is Mapping:
        return _later_reader(arguments[1])
    if origin in (list, tuple, frozenset):
        return _sequence_reader(origin, arguments)
    if origin is Literal:
        return _literal_reader(arguments)
    if hasattr(kind, "of_text"):
        return _text_reader(kind)
    if kind is Any:
        return lambda plain: plain
    return _scalar_reader(kind)


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    fields: dict[str, tuple[Any, Callable[[Any], Any]]] = {}

    def read(plain: Any) -> Any:
        if not fields:  # on first use, so that a dataclass may hold its own kind
            for name, hint in get_type_hints(kind).items():
                fields[name] = (hint, _reader(hint))
        if not isinstance(plain, dict):
            raise TypeError(f"expected an object for {kind.__name__}, got {type(plain).__name__}")
        made = {}
        for name, content in plain.items():
            if name in fields:
                expected, reader = fields[name]
                made[name] = content if type(content) is expected else reader(content)  # mostly a number or a text
        return kind(**made)

    return read


def _union_reader(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    (inner,) = [argument for argument in arguments if argument is not types.NoneType]
    reader = _reader(inner)
    return lambda plain: None if plain is None else reader(plain)


def _dict_reader(key_kind: Any, value_kind: Any) -> Callable[[Any], Any]:
    value = _reader(value_kind)
    if key_kind is int:
        return lambda plain: {int(name): value(content) for name, content in plain.items()}

    def read(plain: Any) -> Any:  # JSON has no other keys than texts
        return {name: each if type(each) is value_kind else value(each) for name, each in plain.items()}

    return read


class Later(Mapping[str, T]):
    """Named parts of a record that are read when somebody asks for one: a field that is annotated as a `Mapping`.

    A long history holds hundreds of thousands, and hardly any is asked for. That each has what it can't do without is
    seen at once; where one of them can't be read all the same, somebody has tampered with it, and there are none.
    """

    __slots__ = ("_parts", "_plain", "_reader")

    def __init__(self, plain: dict[str, Any], reader: Callable[[Any], T]) -> None:
        self._plain: dict[str, Any] | None = plain
        self._reader = reader

    def _read(self) -> dict[str, T]:
        plain = self._plain
        if plain is not None:
            try:
                self._parts = {name: self._reader(part) for name, part in plain.items()}
            except (TypeError, KeyError, AttributeError, ValueError, OverflowError):
                self._parts = {}
            self._plain = None
        return self._parts

    def __getitem__(self, name: str) -> T:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())


def _later_reader(kind: Any) -> Callable[[Any], Any]:
    reader = _reader(kind)
    missing = dataclasses.MISSING
    needed = {field.name for field in dataclasses.fields(kind) if field.default is field.default_factory is missing}

    def read(plain: Any) -> Any:
        if not isinstance(plain, dict):
            raise TypeError(f"expected an object, got {type(plain).__name__}")
        for part in plain.values():
            if needed - part.keys():
                raise TypeError(f"a part lacks {', '.join(sorted(needed - part.keys()))}")
        return Later(plain, reader)

    return read


def _sequence_reader(origin: Any, arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    reader = _reader(arguments[0])
    return lambda plain: origin([reader(content) for content in _listed(plain)])


def _listed(plain: Any) -> list[Any]:
    if not isinstance(plain, list):
        raise TypeError(f"expected a list, got {type(plain).__name__}")
    return plain


def _text_reader(kind: Any) -> Callable[[Any], Any]:
    text = _scalar_reader(str)
    return lambda plain: kind.of_text(plain if type(plain) is str else text(plain))


def _literal_reader(allowed: tuple[Any, ...]) -> Callable[[Any], Any]:
    def read(plain: Any) -> Any:
        if plain not in allowed:
            raise TypeError(f"expected one of {allowed}, got {plain!r}")
        return plain

    return read


def _scalar_reader(kind: Any) -> Callable[[Any], Any]:
    def read(plain: Any) -> Any:
        if kind is float:
            if plain is None:
                return math.nan
            if isinstance(plain, int) and not isinstance(plain, bool):
                return float(plain)
        if not isinstance(plain, kind) or (kind is int and isinstance(plain, bool)):
            raise TypeError(f"expected {kind.__name__}, got {plain!r}")
        return plain

    return read
