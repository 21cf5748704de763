"""What a user asks for: which service, where its port is, when it is ready. Wrong values are refused, all at once."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.quantity import duration_s, size_bytes
from pytest_loadperf.redact import named_secrets, redact
from pytest_loadperf.service.autoscale import Autoscale

_PATH = re.compile(r"/[!-~]*")  # what an HTTP request line can carry
_CPUSET = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


@dataclass(frozen=True, kw_only=True)
class DockerSpec:
    """Containers of one image, given by name or by the folder that it is built from."""

    image: str | None = None
    build: Path | None = None  # an absolute folder
    dockerfile: str | None = None  # within the folder; else Dockerfile
    target: str | None = None  # the stage of the Dockerfile to stop at
    build_args: Mapping[str, str] = field(default_factory=dict, repr=False)  # values may be secret
    beside: Path | None = None  # the candidate's folder, of which `build` is another state
    port: int
    ready: str = "/"
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # likewise
    command: str | list[str] | None = None
    cpus: float | None = None
    memory: str | int | None = None
    cpuset: str | None = None
    replicas: int = 1
    autoscale: Autoscale | None = None
    timeout: str = "60s"

    def __post_init__(self) -> None:
        _refuse("docker_service", self._faults())

    def _faults(self) -> Iterator[str]:
        yield from self._image_faults()
        yield from _port_faults(self.port)
        yield from _ready_faults(self.ready)
        yield from _env_faults("env", self.env)
        if self.command is not None:
            yield from _command_faults(self.command)
        yield from self._limit_faults()
        yield from _parse_faults(duration_s, self.timeout, "timeout")

    def _image_faults(self) -> Iterator[str]:
        if (self.image is None) == (self.build is None):
            yield "give either image='name:tag' or build='folder'"
        if self.image is not None and not (isinstance(self.image, str) and self.image.strip()):
            yield f"image is {self.image!r}; expected a name such as 'nginx:1.27'"
        if self.build is not None:
            yield from _absolute_faults("build", self.build, "folder")
        elif self.dockerfile or self.target or self.build_args:
            yield "dockerfile, target and build_args belong to build="
        yield from _env_faults("build_args", self.build_args)

    def _limit_faults(self) -> Iterator[str]:
        if self.cpus is not None and not (_is_number(self.cpus) and self.cpus > 0):
            yield f"cpus is {self.cpus!r}; expected a number of cores above zero, such as 0.5"
        if self.memory is not None:
            yield from _parse_faults(size_bytes, self.memory, "memory")
        if self.cpuset is not None and not (isinstance(self.cpuset, str) and _CPUSET.fullmatch(self.cpuset)):
            yield f"cpuset is {self.cpuset!r}; expected cores such as '0', '0-3' or '0,2'"
        if not isinstance(self.replicas, int) or isinstance(self.replicas, bool) or self.replicas < 1:
            yield f"replicas is {self.replicas!r}; expected a whole number from 1"
        elif self.autoscale is not None and self.replicas > 1:
            yield "replicas does not go with autoscale, which has min and max"
        if not isinstance(self.autoscale, Autoscale | None):
            yield f"autoscale is {self.autoscale!r}; expected Autoscale(min=1, max=5, target_cpu=0.75), for instance"

    @property
    def name(self) -> str:
        """The image, or the folder that it is built from without its place on this machine; secrets redacted."""
        return redact(self.image or (self.build.resolve().name if self.build else ""), self.secrets)

    @property
    def timeout_s(self) -> float:
        """How long each replica may take to get ready, in seconds."""
        return duration_s(self.timeout, "timeout")

    @property
    def first_replicas(self) -> int:
        """How many there are when a load begins."""
        return self.replicas if self.autoscale is None else self.autoscale.min

    @property
    def limits(self) -> dict[str, str]:
        """The limits that were given, as given."""
        given = {
            "cpus": None if self.cpus is None else f"{self.cpus:g}",
            "memory": self.memory,
            "cpuset": self.cpuset,
            "replicas": self.replicas if self.replicas > 1 else None,
            "autoscale": self.autoscale,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not appear in any text."""
        return (*self.env.values(), *self.build_args.values(), *named_secrets(os.environ))


@dataclass(frozen=True, kw_only=True)
class ComposeSpec:
    """One service of a compose file, with those that it depends on."""

    file: Path  # absolute
    service: str
    port: int
    ready: str = "/"
    timeout: str = "60s"

    def __post_init__(self) -> None:
        _refuse("compose_service", self._faults())

    def _faults(self) -> Iterator[str]:
        yield from _absolute_faults("file", self.file, "path")
        if not (isinstance(self.service, str) and self.service.strip()):
            yield f"service is {self.service!r}; expected the name of a service in the compose file"
        yield from _port_faults(self.port)
        yield from _ready_faults(self.ready)
        yield from _parse_faults(duration_s, self.timeout, "timeout")

    @property
    def name(self) -> str:
        """The service and its file."""
        return f"{self.service} of {self.file.name}"

    @property
    def timeout_s(self) -> float:
        """How long it may take to get ready, in seconds."""
        return duration_s(self.timeout, "timeout")


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """A command on this machine that serves on a port; `{port}` in it, and PORT in its environment, say which."""

    command: str | list[str]
    port: int | None = None  # else a free one
    ready: str = "/"
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # values may be secret
    timeout: str = "60s"

    def __post_init__(self) -> None:
        _refuse("process_service", self._faults())

    def _faults(self) -> Iterator[str]:
        yield from _command_faults(self.command)
        if self.port is not None:
            yield from _port_faults(self.port)
        yield from _ready_faults(self.ready)
        yield from _absolute_faults("cwd", self.cwd, "folder")
        yield from _env_faults("env", self.env)
        yield from _parse_faults(duration_s, self.timeout, "timeout")

    @property
    def timeout_s(self) -> float:
        """How long it may take to get ready, in seconds."""
        return duration_s(self.timeout, "timeout")

    def words(self, port: int) -> list[str]:
        """The command with the port in place, word by word."""
        words = shlex.split(self.command) if isinstance(self.command, str) else self.command
        return [word.replace("{port}", str(port)) for word in words]

    @property
    def name(self) -> str:
        """The command as it was given, on one line, without a port that was merely free; secrets redacted."""
        text = self.command if isinstance(self.command, str) else shlex.join(self.command)
        return redact(" ".join(text.split()), self.secrets)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not appear in any text."""
        return (*self.env.values(), *named_secrets(os.environ))


@dataclass(frozen=True)
class UrlSpec:
    """A service that runs already."""

    url: str

    def __post_init__(self) -> None:
        _refuse("url_service", self._faults())

    def _faults(self) -> Iterator[str]:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except (ValueError, AttributeError):
            good = False
        if not good:
            yield f"url is {redact(repr(self.url))}; expected an address such as 'http://127.0.0.1:8000'"

    @property
    def name(self) -> str:
        """The address, credentials redacted."""
        return redact(self.url, named_secrets(os.environ))


LocalSpec = ProcessSpec | UrlSpec  # what needs no engine, and can stand in where none answers
Spec = DockerSpec | ComposeSpec | LocalSpec


def _refuse(factory: str, faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        raise UsageFault(f"{factory}: " + "; ".join(found))


def _parse_faults(parse: Callable[[object, str], object], value: object, what: str) -> Iterator[str]:
    try:
        parse(value, what)
    except UsageFault as fault:
        yield str(fault)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _port_faults(port: object) -> Iterator[str]:
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        yield f"port is {port!r}; expected a whole number from 1 to 65535"


def _ready_faults(ready: object) -> Iterator[str]:
    if not isinstance(ready, str) or not _PATH.fullmatch(ready):
        yield f"ready is {ready!r}; expected a path such as '/health'"


def _absolute_faults(what: str, path: object, kind: str) -> Iterator[str]:
    if not isinstance(path, Path) or not path.is_absolute():
        yield f"{what} is {path!r}; expected an absolute {kind}"


def _command_faults(command: object) -> Iterator[str]:
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError as error:
        yield f"command can't be split into words: {error}"
        return
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        yield "command is empty or no text; expected a string or a list of strings, such as 'gunicorn app:app'"


def _env_faults(what: str, env: object) -> Iterator[str]:
    """Faults of a mapping of text to text, in which no value is shown: it may be the secret."""
    if not isinstance(env, Mapping):
        yield f"{what} is a {type(env).__name__}; expected a dict of text to text"
        return
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or not isinstance(value, str):
            yield f"{what}[{name!r}] is a {type(value).__name__}; expected a name without '=' and a text"
