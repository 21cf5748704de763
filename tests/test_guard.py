from __future__ import annotations

import pytest

from pytest_loadperf.errors import HostRefused
from pytest_loadperf.guard import HostGuard


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://localhost",
        "http://[::1]:80/base",
        "http://10.1.2.3",
        "http://172.31.0.1",
        "http://192.168.1.1",
        "http://[fd12::1]",
        "http://[::ffff:10.0.0.1]",
        "http://0.0.0.0:80",
        "http://a-name-that-does-not-resolve.invalid",  # connecting will say so
        "http://.invalid",
    ],
)
def test_local_and_private_hosts_are_admitted(url: str) -> None:
    HostGuard(()).check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        *("8.8.8.8", "192.0.2.1", "172.32.0.1", "169.254.169.254"),
        *("[2001:4860:4860::8888]", "[::ffff:8.8.8.8]", "[fe80::1]"),
    ],
)
def test_other_hosts_are_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(HostRefused) as caught:
        HostGuard(()).check_url(f"http://{host}:80/path")
    bare = host.strip("[]")
    assert str(caught.value) == (
        f"{bare} is not loaded: it is neither this machine, nor a private address, nor a service that this run "
        f"started. If you may load it, say --loadperf-allow-host {bare}"
    )


def test_an_allowed_host_is_admitted() -> None:
    guard = HostGuard(("8.8.8.8",))
    guard.check_url("http://8.8.8.8")
    assert guard.refused("8.8.8.8") is None
    assert guard.refused("8.8.4.4") is not None


def test_the_addresses_of_an_allowed_name_are_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"shop.example": ["203.0.113.5", "203.0.113.6"]}
    monkeypatch.setattr("pytest_loadperf.guard.addresses_of", lambda host: answers.get(host, [host]))
    guard = HostGuard(("shop.example",))
    assert guard.refused("203.0.113.6") is None
    assert guard.refused("203.0.113.7") is not None
    guard.learn("shop.example", ["203.0.113.7"])
    guard.learn("other.example", ["203.0.113.8"])
    assert guard.refused("203.0.113.7") is None
    assert guard.refused("203.0.113.8") is not None


def test_every_address_of_a_name_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_loadperf.guard.addresses_of", lambda _host: ["10.0.0.1", "203.0.113.5"])
    with pytest.raises(HostRefused, match=r"^mixed\.example \(203\.0\.113\.5\) is not loaded"):
        HostGuard(()).check_url("http://mixed.example")


def test_a_url_without_host_is_refused() -> None:
    with pytest.raises(HostRefused, match="'/path' names no host; expected an address such as"):
        HostGuard(()).check_url("/path")
