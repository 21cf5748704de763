"""What a service fixture may give: a service, its address, or nothing."""

from __future__ import annotations

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.service.running import RunningService
from pytest_loadperf.service.spec import UrlSpec
from pytest_loadperf.service.url import UrlService


class OwnHosts(UrlService):
    """Stands for a service where users bring their own hosts (`service=None`)."""

    def __init__(self) -> None:
        self.urls = ()
        self.record = ServiceRecord(kind="url", name="the users' own hosts", backend="url")


def service_of(given: object) -> RunningService:
    """What a service fixture gave: a service, the address of one as a text, or None for the users' own hosts."""
    if given is None:
        return OwnHosts()
    if isinstance(given, str):
        return UrlService(UrlSpec(given))
    if not isinstance(given, RunningService):
        raise UsageFault(
            f"the service fixture gave {given!r}; expected docker_service(…), compose_service(…), process_service(…), "
            "url_service(…), or a fixture that gives an address as a text"
        )
    return given
