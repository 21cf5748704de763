"""A service that runs already."""

from __future__ import annotations

import time

from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.spec import UrlSpec


def test_it_is_where_the_url_says_and_is_neither_asked_nor_sampled() -> None:
    with start(UrlSpec("http://127.0.0.1:9/"), say=print) as service:  # nobody answers there
        service.check()
        with service.sampling(time.monotonic()) as samples:
            pass

        assert service.urls == ("http://127.0.0.1:9",)
        assert service.url == "http://127.0.0.1:9"
        assert service.log_tail() == ""
        assert samples == []


def test_its_record_holds_no_credentials() -> None:
    with start(UrlSpec("https://me:hunter22@shop.test"), say=print) as service:
        assert service.url == "https://me:hunter22@shop.test"
        assert service.record == ServiceRecord(kind="url", name="https://***@shop.test", backend="url")
