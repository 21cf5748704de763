"""The three imaging services: the same picture whatever the framework and the encoding, and what they refuse."""

from __future__ import annotations

import asyncio
import importlib
import json
import runpy
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import imaging
import imaging_aiohttp
import imaging_fastapi
import imaging_flask
import pytest
import requests
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer as AiohttpServer
from asgi import served
from elsewhere import free_port
from example_images import healthy
from imaging import LARGEST_BODY, NO_PICTURE, Refused, fetched
from picture_server import address, picture, serving
from PIL import Image
from urllib3 import encode_multipart_formdata

FOLDER = Path(__file__).parents[1] / "example_service" / "imaging"
JSON = "application/json"
PICTURE = picture()


class Answer(NamedTuple):
    status: int
    type: str
    body: bytes


Ask = Callable[[str, str, bytes | None], Answer]  # of a path, a content type and a body, if there is one


@contextmanager
def flask() -> Iterator[Ask]:
    client = imaging_flask.app.test_client()

    def ask(path: str, type: str, body: bytes | None) -> Answer:
        answer = client.open(path, method="GET" if body is None else "POST", data=body, content_type=type)
        return Answer(answer.status_code, answer.mimetype or "", answer.data)

    yield ask


@contextmanager
def fastapi() -> Iterator[Ask]:
    with served(imaging_fastapi.app) as url, requests.Session() as session:

        def ask(path: str, type: str, body: bytes | None) -> Answer:
            method = "GET" if body is None else "POST"
            answer = session.request(method, url + path, data=body, headers={"Content-Type": type}, timeout=20)
            return Answer(answer.status_code, answer.headers["Content-Type"].partition(";")[0], answer.content)

        yield ask


@contextmanager
def aiohttp() -> Iterator[Ask]:
    async def begun() -> AiohttpClient[Any, Any]:
        client = AiohttpClient(AiohttpServer(imaging_aiohttp.app))
        await client.start_server()
        return client

    async def asked(path: str, type: str, body: bytes | None) -> Answer:
        method = "GET" if body is None else "POST"
        data = None if body is None else BytesIO(body)  # it warns of large bytes
        async with client.request(method, path, data=data, headers={"Content-Type": type}) as answer:
            return Answer(answer.status, answer.content_type, await answer.read())

    with asyncio.Runner() as runner:
        client = runner.run(begun())
        yield lambda *request: runner.run(asked(*request))
        runner.run(client.close())


@pytest.fixture(scope="module", params=[flask, fastapi, aiohttp], ids=lambda param: param.__name__)
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    with request.param() as ask:
        yield ask


def as_base64(picture: bytes) -> tuple[str, bytes]:
    return JSON, json.dumps({"base64": b64encode(picture).decode()}).encode()


def as_form(picture: bytes, field: str = "image") -> tuple[str, bytes]:
    body, type = encode_multipart_formdata({field: ("picture.jpg", picture, "image/jpeg")})
    return type, body


def as_url(url: str) -> tuple[str, bytes]:
    return JSON, json.dumps({"imageurl": url}).encode()


def test_the_picture_comes_back_small_and_grey_however_it_was_sent(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as url:
        monkeypatch.setenv("PICTURE_HOSTS", f"elsewhere.test:80 {urlsplit(url).netloc}")
        answers = {ask("/magic", *sent) for sent in (as_url(url), as_base64(PICTURE), as_form(PICTURE))}
    (answer,) = answers
    assert (answer.status, answer.type) == (200, "image/jpeg")
    with Image.open(BytesIO(answer.body)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (320, 240))


def test_the_health_is_told(ask: Ask) -> None:
    answer = ask("/health", JSON, None)
    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "ok"}


def png(mode: str, size: tuple[int, int]) -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_of_any_kind_is_taken_and_none_is_enlarged(mode: str) -> None:
    with Image.open(BytesIO(imaging.magic(png(mode, (20, 30))))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (20, 30))


UNREADABLE = "the picture is no JPEG or PNG that can be read: "


@pytest.mark.parametrize(
    ("sent", "status", "detail"),
    [
        (as_base64(b"GIF89a"), 422, UNREADABLE + "UnidentifiedImageError"),
        (as_form(b""), 422, UNREADABLE + "UnidentifiedImageError"),
        (as_form(PICTURE[:5000]), 422, UNREADABLE + "OSError"),
        (as_form(png("1", (5000, 5000))), 413, "the picture has more than 10000000 pixels"),
        ((JSON, b'{"base64": "?"}'), 422, "base64 can't be decoded: "),
        ((JSON, '{"base64": "ä"}'.encode()), 422, "base64 can't be decoded: "),
        ((JSON, b"{}"), 422, NO_PICTURE),
        ((JSON, b'{"imageurl": 3}'), 422, NO_PICTURE),
        ((JSON, b"{"), 422, NO_PICTURE),
        ((JSON, b"[" * 100_000), 422, NO_PICTURE),
        (("application/octet-stream", PICTURE), 422, NO_PICTURE),
        (as_form(PICTURE, "picture"), 422, NO_PICTURE),
        (as_url("file:///etc/passwd"), 422, "imageurl begins with neither http:// nor https://"),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else None,
)
def test_what_is_no_picture_is_refused_in_words(ask: Ask, sent: tuple[str, bytes], status: int, detail: str) -> None:
    answer = ask("/magic", *sent)
    assert (answer.status, answer.type) == (status, JSON)
    assert json.loads(answer.body)["detail"].startswith(detail)


@pytest.mark.parametrize("type", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_broken_form_is_refused_in_words(ask: Ask, type: str) -> None:
    answer = ask("/magic", type, b"picture")
    assert answer.status in (400, 422)  # each framework has its own word for it
    assert json.loads(answer.body)["detail"]


def test_a_large_body_is_refused(ask: Ask) -> None:
    assert ask("/magic", *as_form(bytes(LARGEST_BODY + 1))).status == 413
    assert ask("/magic", *as_base64(bytes(LARGEST_BODY))).status == 413


def test_fastapi_wants_to_know_the_length_beforehand() -> None:
    with served(imaging_fastapi.app) as url:
        answer = requests.post(f"{url}/magic", data=iter([b"{}"]), timeout=20)
    assert (answer.status_code, answer.json()) == (411, {"detail": "send Content-Length"})


class Host(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/silent":
            time.sleep(0.5)
        if self.path == "/garbage":
            self.wfile.write(b"garbage\r\n\r\n")
            return
        self.send_response({"/moved": 302, "/large": 200}.get(self.path, 404))
        self.send_header("Location", "http://127.0.0.1/")
        self.end_headers()
        if self.path == "/large":
            self.wfile.write(bytes(LARGEST_BODY + 1))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with ThreadingHTTPServer((address(), 0), Host) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://{address()}:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("", "the answer was 404 Not Found"),
        ("/moved?to=elsewhere#here", "the answer was 404 Not Found"),
        ("/moved", "the answer was 302 Found"),
        ("/silent", "timed out"),
        ("/garbage", "garbage"),
        ("/sp ace", "URL can't contain control characters. '/sp ace' (found at least ' ')"),
    ],
)
def test_why_a_picture_cannot_be_fetched_is_in_the_log_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str, path: str, logged: str
) -> None:
    monkeypatch.setattr(imaging, "FETCH_TIMEOUT_S", 0.2)
    monkeypatch.setenv("PICTURE_HOSTS", urlsplit(host).netloc)
    with pytest.raises(Refused) as refused:
        fetched(host + path)
    assert (refused.value.status, refused.value.detail) == (422, "imageurl could not be fetched")
    assert f"{host}{path}' could not be fetched" in caplog.text
    assert logged in caplog.text


def test_a_port_where_nothing_listens_is_told_apart_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("PICTURE_HOSTS", host)
    with pytest.raises(Refused) as refused:
        fetched(f"http://{host}/picture.jpg")
    assert (refused.value.status, refused.value.detail) == (422, "imageurl could not be fetched")


def test_a_large_picture_is_not_fetched_whole(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("PICTURE_HOSTS", urlsplit(host).netloc)
    with pytest.raises(Refused) as refused:
        fetched(f"{host}/large")
    assert (refused.value.status, refused.value.detail) == (413, f"imageurl leads to more than {LARGEST_BODY} bytes")


ELSEWHERE = "imageurl leads to none of the hosts that pictures are fetched from"


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("ftp://elsewhere.test/", "imageurl begins with neither http:// nor https://"),
        ("picture.jpg", "imageurl begins with neither http:// nor https://"),
        ("http://127.0.0.1:8000/health", ELSEWHERE),
        ("http://elsewhere.test:8000/", ELSEWHERE),
        ("https://elsewhere.test/", ELSEWHERE),
        ("http://elsewhere.test@localhost/", ELSEWHERE),
        ("http://elsewhere.test:99999/", "imageurl can't be understood: Port out of range"),
        ("http://[::1/", "imageurl can't be understood: Invalid IPv6 URL"),
    ],
)
def test_nothing_is_fetched_from_elsewhere(monkeypatch: pytest.MonkeyPatch, url: str, detail: str) -> None:
    monkeypatch.setenv("PICTURE_HOSTS", "elsewhere.test:80")
    with pytest.raises(Refused) as refused:
        fetched(url)
    assert refused.value.status == 422
    assert refused.value.detail.startswith(detail)


def test_without_hosts_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PICTURE_HOSTS", raising=False)
    for url in ("http:///picture.jpg", "http://127.0.0.1/"):
        with pytest.raises(Refused, match=ELSEWHERE):
            fetched(url)


def test_a_server_that_is_named_may_serve_a_picture_of_most_pixels_in_every_thread() -> None:
    settings = runpy.run_path(str(FOLDER / "gunicorn.conf.py"))
    assert settings["threads"] == imaging.THREADS
    at_once = settings["workers"] * imaging.THREADS
    assert at_once * imaging.MOST_PIXELS * 5 < 500e6  # bytes, half of what the load test gives it


class Counting:
    """Takes the place of magic(), and knows in how many threads it ran at once."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0

    def __call__(self, picture: bytes) -> bytes:
        self._now += 1
        self.most = max(self.most, self._now)
        time.sleep(0.05)
        self._now -= 1
        return picture


def test_fastapi_changes_so_many_pictures_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imaging_fastapi, "magic", counting := Counting())
    with served(imaging_fastapi.app) as url, ThreadPoolExecutor(8) as users:
        sent = [users.submit(requests.post, f"{url}/magic", json={"base64": ""}, timeout=20) for _ in range(16)]
        assert {each.result().status_code for each in sent} == {200}
    assert counting.most == imaging.THREADS


def test_aiohttp_changes_so_many_pictures_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def statuses() -> set[int]:
        async with AiohttpClient(AiohttpServer(module.app)) as client:
            sent = [client.post("/magic", json={"base64": ""}) for _ in range(16)]
            return {answer.status for answer in await asyncio.gather(*sent)}

    monkeypatch.delitem(sys.modules, "imaging_aiohttp")
    module = importlib.import_module("imaging_aiohttp")  # anew: an application belongs to one event loop
    monkeypatch.setattr(module, "magic", counting := Counting())
    assert asyncio.run(statuses()) == {200}
    assert counting.most == imaging.THREADS


@pytest.mark.docker
def test_the_image_finds_itself_healthy_and_runs_without_rights() -> None:
    with healthy(FOLDER) as container:
        assert container.exec_run("id -un").output == b"imaging\n"
        assert b"[ERROR]" not in container.logs()
