"""Which hosts may be loaded: this machine, private networks, and what the user allows by name."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from pytest_loadperf.errors import HostRefused

# `ipaddress.is_private` also admits link-local addresses, where clouds keep their metadata services.
_PRIVATE: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)


class HostGuard:
    """Refuses every address that is neither loopback, private, nor behind one of the allowed names."""

    def __init__(self, allowed_hosts: Iterable[str]) -> None:
        self._allowed = tuple(allowed_hosts)

    def check_url(self, url: str) -> None:
        """Raise HostRefused unless every address that the URL's host resolves to is admitted."""
        host = urlsplit(url).hostname
        if not host:
            raise HostRefused(f"{url!r} names no host; expected an address such as http://127.0.0.1:8000")
        if host in self._allowed:
            return
        for address in addresses_of(host):
            if not self.admits(address):
                raise HostRefused(self.refusal(host if host == address else f"{host} ({address})", host))

    def refusal(self, seen: str, host: str) -> str:
        """The sentence for a refused host."""
        return (
            f"{seen} is not loaded: it is neither this machine, nor a private address, nor a service that this run "
            f"started. If you may load it, say --loadperf-allow-host {host}"
        )

    def admits(self, address: str) -> bool:
        """Whether a connection to this address may be opened."""
        parsed = _parse(address)
        if parsed.is_loopback or parsed.is_unspecified:
            return True
        if any(parsed in network for network in _PRIVATE if network.version == parsed.version):
            return True
        return any(parsed == _parse(allowed) for host in self._allowed for allowed in addresses_of(host))


def _parse(address: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(address.partition("%")[0])
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed


def addresses_of(host: str) -> list[str]:
    """Every address that a host name resolves to; none where it does not resolve (connecting will say so)."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


def guard_sockets(guard: HostGuard, on_refused: Callable[[str], None]) -> None:
    """Refuse connections of this process at the socket: redirects, absolute URLs and changing names count as well."""
    connect = socket.socket.connect

    def guarded(connecting: socket.socket, address: Any) -> None:
        if connecting.family in (socket.AF_INET, socket.AF_INET6) and not guard.admits(address[0]):
            text = guard.refusal(address[0], address[0])
            on_refused(text)
            raise PermissionError(text)
        connect(connecting, address)

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]
