"""The same calls through one of Locust's HTTP users or through LeanHttpUser, against a running httpbin.

    python lean_calls.py FastHttpUser http://127.0.0.1:8080

prints, as JSON, what each call gave and which request events it fired.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import locust  # patches this process
from locust.env import Environment
from locust.exception import ResponseError

import pytest_loadperf

Call = Callable[[Any], Any]
CALLS: dict[str, Call] = {}

AGENT = {"User-Agent": "parity"}
CLOSED_PORT = 9  # discard: nobody serves it on loopback


def call(function: Call) -> Call:
    CALLS[function.__name__] = function
    return function


def echoed(response: Any) -> dict[str, Any]:
    """What httpbin saw, without what two clients may well say in two ways."""
    saw = response.json()
    headers = {name.lower(): value for name, value in saw.get("headers", {}).items()}
    for name in ("user-agent", "host", "connection", "accept-encoding", "accept"):
        headers.pop(name, None)
    kind = headers.get("content-type", "")
    if "boundary=" in kind:
        headers["content-type"] = kind.partition(";")[0]
        headers.pop("content-length")
    told = {key: saw[key] for key in ("args", "data", "files", "form", "json", "method", "url") if key in saw}
    return {**told, "headers": headers, "status": response.status_code}


def whole(response: Any) -> dict[str, Any]:
    """What a task can see of an answer."""
    return {
        "status": response.status_code,
        "text": response.text,
        "ok": response.ok,
        "url": response.url,
        "history": [earlier.status_code for earlier in response.history],
    }


@call
def get(user: Any) -> Any:
    return echoed(user.client.get("/get"))


@call
def get_with_query(user: Any) -> Any:
    return echoed(user.client.get("/get?a=1&b=x%20y"))


@call
def params(user: Any) -> Any:
    return echoed(user.client.get("/get", params={"a": "1", "b": "ä b&c"}))


@call
def params_with_lists(user: Any) -> Any:
    return echoed(user.client.get("/get", params={"a": ["1", "2"]}))


@call
def params_beside_a_query(user: Any) -> Any:
    return echoed(user.client.get("/get?z=0", params={"a": 1}))


@call
def params_as_pairs(user: Any) -> Any:
    return echoed(user.client.get("/get", params=[("a", "1"), ("a", "2")]))


@call
def path_that_needs_quoting(user: Any) -> Any:
    return echoed(user.client.get("/anything/ä b/ü?x=ö y"))


@call
def path_that_is_quoted(user: Any) -> Any:
    return echoed(user.client.get("/anything/%2F%41%zz"))


@call
def fragment_is_not_sent(user: Any) -> Any:
    return echoed(user.client.get("/anything/a#b"))


@call
def headers_are_sent(user: Any) -> Any:
    return echoed(user.client.get("/headers", headers={"X-One": "1", "x-two": "zwei"}))


@call
def own_agent_and_encoding(user: Any) -> Any:
    own = {"User-Agent": "me", "Accept-Encoding": "identity", "Accept": "text/x"}
    saw = user.client.get("/headers", headers=own).json()["headers"]
    return [saw[name] for name in own]


@call
def own_host(user: Any) -> Any:
    return user.client.get("/headers", headers={"Host": "other.example"}).json()["headers"]["Host"]


@call
def post_a_form(user: Any) -> Any:
    return echoed(user.client.post("/post", data={"a": "1", "b": "ä &"}))


@call
def post_text(user: Any) -> Any:
    return echoed(user.client.post("/post", data="grüße"))


@call
def post_text_of_a_kind(user: Any) -> Any:
    return echoed(user.client.post("/post", data="<a/>", headers={"Content-Type": "application/xml"}))


@call
def post_bytes(user: Any) -> Any:
    return echoed(user.client.post("/post", b"\x00\xff"))


@call
def post_a_mebibyte(user: Any) -> Any:
    return len(user.client.post("/post", data="x" * 2**20).json()["data"])


@call
def post_json(user: Any) -> Any:
    return echoed(user.client.post("/post", json={"a": [1, None, "ä"]}))


@call
def post_json_that_is_false(user: Any) -> Any:
    return echoed(user.client.post("/post", json=0))


@call
def post_json_of_a_kind(user: Any) -> Any:
    return echoed(user.client.post("/post", json={}, headers={"content-type": "application/vnd.x+json"}))


@call
def post_nothing(user: Any) -> Any:
    return echoed(user.client.post("/post"))


@call
def post_a_file(user: Any) -> Any:
    return echoed(user.client.post("/post", files={"f": ("a.txt", b"content", "text/plain")}))


@call
def post_a_file_and_fields(user: Any) -> Any:
    return echoed(user.client.post("/post", files={"f": ("a.bin", BytesIO(b"content"))}, data={"k": "v"}))


@call
def put_json(user: Any) -> Any:
    return echoed(user.client.put("/put", json={"a": 1}))


@call
def put_text(user: Any) -> Any:
    return echoed(user.client.put("/put", "text"))


@call
def patch_text(user: Any) -> Any:
    return echoed(user.client.patch("/patch", "text"))


@call
def delete(user: Any) -> Any:
    return echoed(user.client.delete("/delete"))


@call
def delete_with_json(user: Any) -> Any:
    return echoed(user.client.delete("/delete", json={"a": 1}))


@call
def head(user: Any) -> Any:
    response = user.client.head("/get")
    return [response.status_code, response.content.decode(), int(response.headers["Content-Length"]) > 0]


@call
def options(user: Any) -> Any:
    response = user.client.options("/get")
    return [response.status_code, sorted(response.headers["allow"].split(", "))]


@call
def method_in_small_letters(user: Any) -> Any:
    return echoed(user.client.request("get", "/get"))


@call
def method_of_ones_own(user: Any) -> Any:
    return user.client.request("BREW", "/anything").status_code


@call
def basic_auth(user: Any) -> Any:
    return whole(user.client.get("/basic-auth/me/geheim", auth=("me", "geheim")))


@call
def basic_auth_that_is_wrong(user: Any) -> Any:
    return whole(user.client.get("/basic-auth/me/geheim", auth=("me", "falsch"), name="auth"))


@call
def bearer(user: Any) -> Any:
    return whole(user.client.get("/bearer", headers={"Authorization": "Bearer t"}))


@call
def credentials_of_the_address(user: Any) -> Any:
    client = another_client(user, user.host.replace("//", "//me:ge%20heim@"))
    return [echoed(client.get("/get", headers=AGENT))["headers"]["authorization"], client.base_url == user.host]


@call
def cookies_are_kept(user: Any) -> Any:
    user.client.get("/cookies/set?one=1&two=2", name="set")
    return user.client.get("/cookies").json()


@call
def cookies_are_forgotten(user: Any) -> Any:
    user.client.get("/cookies/set?one=1&two=2", name="set")
    user.client.get("/cookies/delete?one", name="delete")
    return user.client.get("/cookies").json()


@call
def cookies_have_paths(user: Any) -> Any:
    user.client.get("/response-headers", params={"Set-Cookie": "deep=1; Path=/anything"}, name="set")
    deep = user.client.get("/anything/x", name="deep").json()["headers"].get("Cookie")
    return [deep, user.client.get("/cookies").json()]


@call
def redirects(user: Any) -> Any:
    return whole(user.client.get("/relative-redirect/3")) | {"text": None}


@call
def redirects_to_absolute_addresses(user: Any) -> Any:
    return whole(user.client.get("/absolute-redirect/2")) | {"text": None}


@call
def redirect_of_a_post(user: Any) -> Any:
    return echoed(user.client.post("/redirect-to?url=/anything&status_code=302", data={"a": "1"}, name="to"))


@call
def redirect_303_of_a_put(user: Any) -> Any:
    return echoed(user.client.put("/redirect-to?url=/anything&status_code=303", data="text", name="to"))


@call
def redirect_307_of_a_post(user: Any) -> Any:
    return echoed(user.client.post("/redirect-to?url=/anything&status_code=307", data={"a": "1"}, name="to"))


@call
def redirect_308_of_json(user: Any) -> Any:
    return echoed(user.client.patch("/redirect-to?url=/anything&status_code=308", json=[1], name="to"))


@call
def redirect_of_a_head(user: Any) -> Any:
    response = user.client.head("/relative-redirect/2", allow_redirects=True)
    return [response.status_code, response.request.method]


@call
def redirect_that_is_not_followed(user: Any) -> Any:
    response = user.client.get("/relative-redirect/2", allow_redirects=False)
    return [response.status_code, response.headers["Location"]]


@call
def redirect_without_end(user: Any) -> Any:
    return user.client.get("/relative-redirect/40", name="round and round").status_code


@call
def redirect_elsewhere_drops_credentials(user: Any) -> Any:
    elsewhere = user.host.replace("127.0.0.1", "localhost") + "/headers"
    to = {"url": elsewhere}
    saw = user.client.get("/redirect-to", params=to, headers={"Authorization": "x"}, name="to").json()
    return sorted(saw["headers"].keys() & {"Authorization"})


@call
def statuses(user: Any) -> Any:
    asked = (200, 201, 202, 204, 205, 206, 304, 400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503, 504)
    return [whole(user.client.get(f"/status/{status}", name="status")) | {"text": None} for status in asked]


@call
def raise_for_status(user: Any) -> Any:
    response = user.client.get("/status/404", name="missing")
    try:
        response.raise_for_status()
    except Exception:
        return "raised"
    return "nothing"


@call
def not_modified(user: Any) -> Any:
    return whole(user.client.get("/etag/abc", headers={"If-None-Match": "abc"}))


@call
def a_with_block_makes_a_success(user: Any) -> Any:
    with user.client.get("/status/404", name="missing", catch_response=True) as response:
        response.success()
    return response.status_code


@call
def a_with_block_makes_a_failure(user: Any) -> Any:
    with user.client.get("/get", catch_response=True) as response:
        response.failure("not what I want")
    return response.status_code


@call
def a_with_block_leaves_it_to_the_status(user: Any) -> Any:
    with user.client.get("/status/500", name="broken", catch_response=True):
        pass
    with user.client.get("/get", catch_response=True):
        pass


@call
def a_with_block_raises_a_response_error(user: Any) -> Any:
    with user.client.get("/get", catch_response=True):
        raise ResponseError("no")


@call
def a_with_block_raises_something_else(user: Any) -> Any:
    try:
        with user.client.get("/get", catch_response=True):
            raise KeyError("mine")
    except KeyError:
        return "raised"


@call
def with_without_catch_response(user: Any) -> Any:
    try:
        user.client.get("/get").success()
    except locust.exception.LocustError:
        return "refused"


@call
def encodings(user: Any) -> Any:
    told = [user.client.get(f"/{name}", name="encoded").json() for name in ("gzip", "deflate", "brotli")]
    return [[saw.get("gzipped"), saw.get("deflated"), saw.get("brotli")] for saw in told]


@call
def texts(user: Any) -> Any:
    return [user.client.get(path).text for path in ("/encoding/utf8", "/html", "/xml", "/robots.txt", "/deny")]


@call
def binary(user: Any) -> Any:
    response = user.client.get("/image/png")
    return [response.headers["content-type"], len(response.content), response.content[:4].decode("latin-1")]


@call
def bytes_by_length(user: Any) -> Any:
    return user.client.get("/bytes/100000?seed=1").content.hex()


@call
def bytes_in_chunks(user: Any) -> Any:
    return user.client.get("/stream-bytes/100000?seed=1&chunk_size=999").content.hex()


@call
def bytes_that_drip(user: Any) -> Any:
    return user.client.get("/drip?duration=0.3&numbytes=6&delay=0").text


@call
def a_part(user: Any) -> Any:
    return whole(user.client.get("/range/100", headers={"Range": "bytes=10-19"}))


@call
def header_fields(user: Any) -> Any:
    headers = user.client.get("/response-headers?X-A=1&X-B=zwei", name="headers").headers
    return [headers["x-a"], headers["X-B"], "x-B" in headers, headers.get("x-c"), "content-LENGTH" in headers]


@call
def lines(user: Any) -> Any:
    return [json.loads(line)["id"] for line in iter_lines(user)("/stream/4")]


@call
def streamed(user: Any) -> Any:
    response = user.client.get("/bytes/5000?seed=2", stream=True)
    return response.content.hex()


@call
def rest(user: Any) -> Any:
    with user.rest("GET", "/get") as response:
        return sorted(response.js)


@call
def rest_that_is_no_json(user: Any) -> Any:
    with user.rest("GET", "/html") as response:
        return response.js


@call
def rest_with_an_assertion(user: Any) -> Any:
    with user.rest("POST", "/post", json={"a": 1}) as response:
        assert response.js["json"] == {"a": 2}, "a is wrong"


@call
def rest_with_time(user: Any) -> Any:
    with user.rest_("GET", "/get") as response:
        return sorted(response.js["args"])


@call
def names(user: Any) -> Any:
    user.client.get("/get?n=1", name="by name")
    with user.client.rename_request("by block"):
        user.client.get("/get?n=2")
    user.client.request_name = "by attribute"
    user.client.get("/get?n=3")
    user.client.get("/get?n=4", name="by name")
    user.client.request_name = None
    user.client.get("/get?n=5")


@call
def context(user: Any) -> Any:
    user.client.get("/get", context={"round": 1})


@call
def absolute_address(user: Any) -> Any:
    return echoed(user.client.get(user.host + "/get"))


@call
def base_with_a_path(user: Any) -> Any:
    return echoed(another_client(user, user.host + "/anything").get("/below?x=1", headers=AGENT))


@call
def default_headers(user: Any) -> Any:
    user.client.get("/user-agent")
    other = type("Other", (type(user),), {"default_headers": {**AGENT, "X-Default": "1"}})(user.environment)
    return echoed(other.client.get("/headers"))["headers"].get("x-default")


@call
def nobody_listens(user: Any) -> Any:
    response = user.client.get(f"http://127.0.0.1:{CLOSED_PORT}/", name="closed")
    return [response.status_code, response.content or None, response.error is not None]


@call
def no_such_host(user: Any) -> Any:
    return user.client.get("http://no-such-host.invalid/", name="unknown").status_code


@call
def what_was_asked(user: Any) -> Any:
    request = user.client.post("/post", data="abc", headers={"X-A": "1"}).request
    body = request.body
    return [request.method, request.url, request.headers["x-a"], body.decode() if isinstance(body, bytes) else body]


def another_client(user: Any, base_url: str) -> Any:
    """As Locust's documentation makes them for a user that loads two hosts."""
    return type(user.client)(base_url=base_url, request_event=user.environment.events.request, user=user)


def iter_lines(user: Any) -> Any:
    if hasattr(user.client, "iter_lines"):
        return user.client.iter_lines
    return lambda url: user.client.get(url, stream=True).iter_lines()


def run(user_class: type[Any], host: str) -> dict[str, Any]:
    environment = Environment(user_classes=[user_class])
    told: dict[str, Any] = {}
    for name, function in CALLS.items():
        events: list[dict[str, Any]] = []
        environment.events.request._handlers[:] = [lambda events=events, **event: events.append(plain(event))]
        user = made(user_class, environment, host)
        try:
            gave = function(user)
        except Exception as error:
            gave = f"raised {error!r}"
        told[name] = {"gave": gave, "events": events}
    return told


def made(user_class: type[Any], environment: Environment, host: str) -> Any:
    """A user that says of itself what the others say, so that what httpbin echoes is of the same length."""

    class User(user_class):  # type: ignore[misc] # whichever it is
        default_headers = AGENT

        def context(self) -> dict[str, str]:
            return {"who": "me"}

    User.host = host
    user = User(environment)
    if user_class is locust.HttpUser:
        user.client.headers.update(AGENT)
    return user


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a request event as JSON."""
    response, exception = event.pop("response"), event["exception"]
    event["status"] = response.status_code
    event["exception"] = exception and f"{type(exception).__name__}: {exception}"
    event["times"] = [event.pop("response_time") > 0, event.pop("start_time") > 1e9]
    return event


if __name__ == "__main__":
    named = pytest_loadperf if sys.argv[1] == "LeanHttpUser" else locust
    print(json.dumps(run(getattr(named, sys.argv[1]), sys.argv[2])))
