"""Which hosts may be loaded: this machine, private networks, and what the user allows by name."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, MutableMapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from pytest_loadperf.errors import HostRefused

_PROXIES = frozenset(f"{scheme}_proxy" for scheme in ("http", "https", "ftp", "all", "ws", "wss"))
_Address = IPv4Address | IPv6Address
# `ipaddress.is_private` also admits link-local addresses, where clouds keep their metadata services.
_PRIVATE: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)


class HostGuard:
    """Refuses every address that is neither loopback, private, nor behind one of the allowed names."""

    def __init__(self, allowed_hosts: Iterable[str]) -> None:
        self._names = frozenset(allowed_hosts)
        self._addresses = {_parse(address) for name in self._names for address in addresses_of(name)}

    def check_url(self, url: str) -> None:
        """Raise HostRefused unless every address that the URL's host resolves to is admitted."""
        host = urlsplit(url).hostname
        if not host:
            raise HostRefused(f"{url!r} names no host; expected an address such as http://127.0.0.1:8000")
        if refused := self.refused(host):
            raise HostRefused(refused)

    def refused(self, host: str, addresses: Iterable[str] | None = None) -> str | None:
        """The sentence that refuses a host, given by name or address; None where it may be loaded.

        `addresses` are those that it was resolved to, where that was done already.
        """
        if host in self._names:
            return None
        for address in addresses_of(host) if addresses is None else addresses:
            if not self._admits(_parse(address)):
                return (
                    f"{host if host == address else f'{host} ({address})'} is not loaded: it is neither this machine, "
                    "nor a private address, nor a service that this run started. If you may load it, say "
                    f"--loadperf-allow-host {host}"
                )
        return None

    def learn(self, host: str, addresses: Iterable[str]) -> None:
        """A name was resolved: the addresses of an allowed one may change from answer to answer."""
        if host in self._names:
            self._addresses.update(_parse(address) for address in addresses)

    def _admits(self, address: _Address) -> bool:
        if address.is_loopback or address.is_unspecified or address in self._addresses:
            return True
        return any(address in network for network in _PRIVATE if network.version == address.version)


def _parse(address: str) -> _Address:
    parsed = ip_address(address.partition("%")[0])
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed


def addresses_of(host: str) -> list[str]:
    """Every address that a host name resolves to; none where it does not resolve (connecting will say so)."""
    try:
        return _resolved(host)
    except (OSError, UnicodeError):
        return []


def _resolved(host: str, family: int = socket.AF_UNSPEC) -> list[str]:
    try:
        ip_address(host.partition("%")[0])
        return [host]
    except ValueError:  # a name
        found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def guard_sockets(guard: HostGuard, on_refused: Callable[[str], None]) -> None:
    """Refuse connections of this process at the socket: redirects, absolute URLs and changing names count as well."""
    checked = _check(guard, on_refused)
    resolve, plain = socket.getaddrinfo, socket.socket
    connect, connect_ex, sendmsg = plain.connect, plain.connect_ex, plain.sendmsg
    sendto: Callable[..., int] = plain.sendto  # with flags, or without

    def guarded_connect(connecting: socket.socket, address: Any) -> None:
        connect(connecting, checked(connecting, address))

    def guarded_connect_ex(connecting: socket.socket, address: Any) -> int:
        return connect_ex(connecting, checked(connecting, address))

    def guarded_sendto(sending: socket.socket, data: Any, *arguments: Any) -> int:
        *flags, address = arguments
        return sendto(sending, data, *flags, checked(sending, address))

    def guarded_sendmsg(
        sending: socket.socket, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None
    ) -> int:
        return sendmsg(sending, buffers, ancdata, flags, None if address is None else checked(sending, address))

    def learning_resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        found = resolve(host, *arguments, **options)
        guard.learn(str(host), (str(entry[4][0]) for entry in found))
        return found

    socket.socket.connect = guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign, assignment]
    socket.socket.sendto = guarded_sendto  # type: ignore[method-assign, assignment]
    socket.socket.sendmsg = guarded_sendmsg  # type: ignore[method-assign, assignment]
    for module in (socket, sys.modules.get("gevent.socket")):
        if module is not None:
            module.getaddrinfo = learning_resolve  # type: ignore[attr-defined]


def _check(guard: HostGuard, on_refused: Callable[[str], None]) -> Callable[[socket.socket, Any], Any]:
    def checked(connecting: socket.socket, address: Any) -> Any:
        """The address by number: a name may be another one's by the time that it is resolved again."""
        if connecting.family not in (socket.AF_INET, socket.AF_INET6):
            return address
        host, *rest = address
        name = host if isinstance(host, str) else bytes(host).decode()
        found = _resolved(name, connecting.family)
        if text := guard.refused(name, found):
            on_refused(text)
            raise PermissionError(text)
        return (found[0], *rest)

    return checked


def forget_proxies(environ: MutableMapping[str, str]) -> None:
    """Let no client ask the environment's proxies: one may pass requests on to any host, and would be loaded, too."""
    for name in [name for name in environ if name.lower() in _PROXIES]:
        del environ[name]
    environ["no_proxy"] = environ["NO_PROXY"] = "*"  # those of the system, where there are any
