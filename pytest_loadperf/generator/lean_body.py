"""The bodies and query strings of requests: what a task gives, as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import requests

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.generator.lean_request import Fields

_FORM: Fields = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)
_TEXT: Fields = (("Content-Type", "text/plain; charset=utf-8"),)
_BYTES: Fields = (("Content-Type", "application/octet-stream"),)
_JSON: Fields = (("Content-Type", "application/json"), ("Accept", "application/json"))


def encoded_body(data: Any, json_value: Any, files: Any) -> tuple[bytes | None, Fields]:
    """The bytes, and the header fields that go with them unless the user gives others."""
    if data is json_value is files is None:
        return None, ()
    if files:
        return _encoded_form(data, files)
    if data:
        return _encoded_data(data)
    if json_value is not None:
        return json.dumps(json_value).encode(), _JSON
    return None, ()


def _encoded_form(data: Any, files: Any) -> tuple[bytes, Fields]:
    form = requests.Request("POST", "http://form/", data=data, files=files).prepare()
    assert isinstance(form.body, bytes)
    return form.body, (("Content-Type", form.headers["Content-Type"]),)


def _encoded_data(data: Any) -> tuple[bytes, Fields]:
    if isinstance(data, str):
        return data.encode(), _TEXT
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), _BYTES
    if isinstance(data, Mapping | list | tuple):
        return _encoded_pairs(data).encode(), _FORM
    if hasattr(data, "read"):
        return _encoded_data(data.read())
    raise UsageFault(f"data is a {type(data).__name__}; expected str, bytes, a mapping, pairs or an open file")


def with_params(url: str, params: Any) -> str:
    """The URL with these query parameters added."""
    if isinstance(params, bytes):
        params = params.decode()
    query = params if isinstance(params, str) else _encoded_pairs(params)
    address, hash_mark, fragment = url.partition("#")
    if query:
        address += ("&" if "?" in address else "?") + query
    return address + hash_mark + fragment


def _encoded_pairs(pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> str:
    listed = pairs.items() if isinstance(pairs, Mapping) else pairs
    return urlencode([(name, value) for name, value in listed if value is not None], doseq=True)
