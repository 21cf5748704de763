"""The Docker engine: found, spoken to through its API, and its refusals put into words."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import docker
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.redact import redact

_PROBE_S = 5  # an engine that takes longer to tell its version is none
_ANSWER_S = 120
_LOCAL = ("unix", "npipe", "http+unix")


class EngineMissing(ServiceError):
    """No Docker engine can be used here; `reason` is short enough for one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"no Docker engine answers ({reason}). It is looked for at DOCKER_HOST, else where the current Docker "
            "context says, else at /var/run/docker.sock. Start Docker, correct DOCKER_HOST, or name what to run "
            "without Docker: docker_service(…, fallback=process_service(…))"
        )
        self.reason = reason


@dataclass(frozen=True)
class Engine:
    """An engine that answers."""

    client: docker.DockerClient
    version: str

    @property
    def backend(self) -> str:
        """Its name and major version, for the fingerprint."""
        return f"docker {self.version.partition('.')[0]}"


def connect() -> Engine:
    """The engine that the environment names; raises EngineMissing."""
    address = _address()
    if not _is_local(address):
        raise EngineMissing(f"{redact(address)} is another machine, and ports are published on its loopback only")
    try:
        _knock(address)
        client = docker.from_env(timeout=_PROBE_S)
        version = client.version()["Version"]
    except (DockerException, RequestException, OSError) as error:
        raise EngineMissing(f"{redact(address)}: {_cause(error)}") from None
    client.api.timeout = _ANSWER_S
    return Engine(client, version)


def _address() -> str:
    """Where the SDK is going to look."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    return (context.Host if context else None) or "unix:///var/run/docker.sock"


def _is_local(address: str) -> bool:
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    return parts.scheme in _LOCAL or parts.hostname in ("localhost", "127.0.0.1", "::1")


def _cause(error: BaseException) -> str:
    """What the system said, below the layers of libraries that passed it on."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return f"{below.strerror}: {below.filename}" if below.filename else below.strerror
        below = below.__cause__ or below.__context__
    return redact(str(error))


def _knock(address: str) -> None:
    """Raise OSError when nobody listens: the SDK would leave its sockets open, which is a warning in the user's run."""
    scheme, _, path = address.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(_PROBE_S)
            door.connect(path)


@contextmanager
def in_words(doing: str, advice: str = "", secrets: Iterable[str] = ()) -> Iterator[None]:
    """Raise as ServiceError what the engine refuses, or does not answer, while `doing`."""
    try:
        yield
    except APIError as error:
        said = str(error.explanation or error)
    except (DockerException, RequestException, OSError) as error:
        said = _cause(error)
    else:
        return
    raise ServiceError(". ".join(filter(None, (redact(f"{doing} failed: {said.rstrip('.')}", secrets), advice))))
