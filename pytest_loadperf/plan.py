"""What is asked for: the stages of a load, and the plan that the generator is given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from secrets import token_urlsafe

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.quantity import duration_s
from pytest_loadperf.schedule import Schedule

_FEWEST_MAX_USERS = 10
_LONGEST = "10min"  # that a stage with so many requests may take, unless it says otherwise


@dataclass(frozen=True)
class Stage:
    """One step of load: this many users for this long, or so many arrivals a second whatever the service does.

    `duration` is a string with its unit ('30s', '1m30s') and includes the ramp; `spawn_rate` is users started (or
    stopped) a second, all at once unless given; a stage with `measured=False` is run and drawn, but not judged.
    `rate` is '200/s', or '50/s to 200/s' for a ramp; each arrival is one task of a user, and there are at most
    `max_users`: unless given, as many as arrive in a second, and ten at least.
    With `requests`, the users make so many together, and `duration` is the longest that they may take: ten minutes
    unless given.
    """

    name: str | None = None
    users: int | None = field(default=None, kw_only=True)
    spawn_rate: float | None = field(default=None, kw_only=True)
    duration: str | None = field(default=None, kw_only=True)
    measured: bool = field(default=True, kw_only=True)
    rate: str | None = field(default=None, kw_only=True)
    max_users: int | None = field(default=None, kw_only=True)
    requests: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        faults = [*self._size_faults(), *self._time_faults()]
        if faults:
            raise UsageFault(f"{self._label}: " + "; ".join(faults))

    @property
    def _label(self) -> str:
        return f"Stage({self.name!r})" if self.name else "Stage"

    def _size_faults(self) -> Iterator[str]:
        if self.users is None and self.rate is None:
            yield "it has neither users nor rate; give users=50 or rate='200/s', for instance"
        if self.rate is not None and (self.users is not None or self.spawn_rate is not None):
            yield "users and spawn_rate do not go with rate, which takes as many users as it needs, up to max_users"
        if self.rate is None and self.max_users is not None:
            yield "max_users goes with rate only"
        if self.rate is not None and self.requests is not None:
            yield "requests does not go with rate, which says with duration how many arrive"
        wrong = [name for name in ("users", "max_users", "requests") if not _is_count(getattr(self, name))]
        for name in wrong:
            yield f"{name} is {getattr(self, name)!r}; expected a whole number from 1"
        if not wrong and self.users and self.requests and self.requests < self.users:
            yield f"requests is {self.requests}, which {self.users} users can't share; expected one for each at least"

    def _time_faults(self) -> Iterator[str]:
        if self.duration is None and (self.requests is None or self.rate is not None):
            yield "it has no duration; give duration='30s', for instance"
            return
        try:
            lasts_s = self.duration_s
            if self.rate is not None:
                Schedule.parse(self.rate, lasts_s)
        except UsageFault as fault:
            yield str(fault)
        speed = self.spawn_rate
        if speed is not None and (isinstance(speed, bool) or not isinstance(speed, int | float) or speed <= 0):
            yield f"spawn_rate is {speed!r}; expected users a second, more than zero"

    def ramp_s(self, users_before: int) -> float:
        """How long it takes to get to its users from those of the stage before, in seconds."""
        return abs((self.users or 0) - users_before) / self.spawn_rate if self.spawn_rate else 0.0

    @property
    def duration_s(self) -> float:
        """How long the stage lasts, in seconds, its ramp included; with `requests`, the longest that it may."""
        return duration_s(_LONGEST if self.duration is None else self.duration, "duration")

    @property
    def schedule(self) -> Schedule | None:
        """When arrivals are due; None for a stage of users."""
        return None if self.rate is None else Schedule.parse(self.rate, self.duration_s)

    @property
    def most_users(self) -> int:
        """How many users there can be."""
        if self.schedule is None:
            return self.users or 1
        return self.max_users or max(_FEWEST_MAX_USERS, math.ceil(self.schedule.fastest))

    @property
    def size(self) -> str:
        """How large it is, in words: '100 users', '200/s by up to 50 users'."""
        users = "1 user" if self.most_users == 1 else f"{self.most_users} users"
        return users if self.rate is None else f"{self.rate} by up to {users}"

    @property
    def extent(self) -> str:
        """How long it goes on, in words: '30 s', '10000 requests, 600 s at most'."""
        if self.requests is None:
            return f"{self.duration_s:g} s"
        requests = "1 request" if self.requests == 1 else f"{self.requests} requests"
        return f"{requests}, {self.duration_s:g} s at most"

    def share(self, index: int, processes: int) -> int | None:
        """How many of its requests are made by the one with this index of so many processes."""
        if self.requests is None:
            return None
        return self.requests // processes + (index < self.requests % processes)

    def scaled(self, factor: float) -> Stage:
        """The stage made `factor` times as long and as large, for a smoke run; at least one user for one second."""
        shorter = round(max(1.0, self.duration_s * factor), 3)
        fewer = max(1, round(self.most_users * factor))
        if self.schedule is None:
            requests = max(1, round(self.requests * factor)) if self.requests else None
            return replace(self, users=fewer, duration=f"{shorter:.3f}s", requests=requests)
        rate = self.schedule.scaled(max(factor, self.schedule.smallest_factor(shorter)))
        return replace(self, rate=rate, max_users=fewer, duration=f"{shorter:.3f}s")


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


@dataclass(frozen=True)
class Reference:
    """Where the generator finds a class: by import where that gives the same file, else from the file itself."""

    file: str
    module: str
    name: str


@dataclass(frozen=True)
class Crew:
    """Who runs the users where the generator does not do it itself: workers, of which it is the master."""

    local: int = 0  # processes that the generator starts
    joined: int = 0  # workers that join it from elsewhere
    host: str = "127.0.0.1"  # where it listens for them
    port: int = 0  # any that is free
    come_s: float = 60.0  # how long they may take to come
    root: str = ""  # the folder that a worker with code of its own has in its image
    token: str = field(default_factory=token_urlsafe, repr=False, compare=False)  # that they have to show
    token_given: bool = False  # by the user, who knows it

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self.local + self.joined


@dataclass(frozen=True)
class Plan:
    """All that one run of the generator needs to know."""

    users: tuple[Reference, ...] = ()
    locustfile: str | None = None  # instead of `users`: a file whose users (or the one named) are taken
    locustfile_user: str | None = None
    stages: tuple[Stage, ...] = ()
    shape: Reference | None = None  # instead of `stages`: a Locust LoadTestShape
    urls: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    sys_path: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()  # what no name or text may show
    scale: float = 1.0  # of a shape: so much of its users, and of its time
    answer_wait_s: float = 10.0  # how long after the last stage an answer is still waited for
    crew: Crew | None = None
    locust_page: bool = False  # whether Locust's own page is made of it as well
