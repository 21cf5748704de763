"""A fan-out: GET /first asks all upstreams at once and answers with the first success."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Annotated

import anyio
import httpx
from fastapi import FastAPI, HTTPException, Query, Response

TIMEOUT_S = 2.0
LONGEST_TIMEOUT_S = 5.0  # Docker kills ten seconds after it has asked to stop: every accepted request is done by then


def create_app() -> FastAPI:
    """The ASGI application; UPSTREAMS has the addresses that it asks, with commas between."""
    upstreams = given_upstreams()
    # 200 requests at once are in want of 600 connections, and would queue for the 100 that httpx allows itself. Few are
    # kept: httpx looks at all idle ones for every request, and at hundreds for longer than it takes to connect anew.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))  # all callers would share them
    # The request's own timeout holds for all that it does.
    client = httpx.AsyncClient(limits=limits, cookies=no_cookies, timeout=None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(title="fanout", lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/first")
    async def first(timeout: Annotated[float, Query(gt=0, le=LONGEST_TIMEOUT_S)] = TIMEOUT_S) -> Response:
        answer = await first_success(client, upstreams, timeout)
        return Response(answer.content, media_type=answer.headers.get("Content-Type"))

    return app


def given_upstreams() -> list[httpx.URL]:
    """The addresses from the environment; without any the service does not start."""
    upstreams = [httpx.URL(text.strip()) for text in os.environ.get("UPSTREAMS", "").split(",") if text.strip()]
    if not upstreams:
        sys.exit("fanout: UPSTREAMS is not set; give the addresses to ask: UPSTREAMS=http://one:9000,http://two:9000")
    for url in upstreams:
        if url.scheme not in ("http", "https") or not url.host:
            sys.exit(f"fanout: UPSTREAMS has {url}, which is no address; expected http://… or https://…")
    return upstreams


async def first_success(client: httpx.AsyncClient, upstreams: list[httpx.URL], timeout_s: float) -> httpx.Response:
    """The first answer with a status of 2xx; the other upstreams are given up once it is there."""
    successes: list[httpx.Response] = []
    reasons: list[str] = []

    async def ask(url: httpx.URL) -> None:
        name = f"{url.host}:{url.port}" if url.port else url.host  # without the credentials that an address may have
        try:
            answer = await client.get(url)
        except httpx.HTTPError as error:
            reasons.append(f"{name}: {str(error) or type(error).__name__}")
            return
        if answer.is_success:
            successes.append(answer)
            group.cancel_scope.cancel()
        else:
            reasons.append(f"{name} answered {answer.status_code}")

    # Not asyncio's cancel(): httpx shields the release of a connection from AnyIO's way of cancelling only. With the
    # other, connections are lost (github.com/encode/httpcore/issues/658), until a load is not answered any more.
    with anyio.move_on_after(timeout_s):
        async with anyio.create_task_group() as group:
            for url in upstreams:
                group.start_soon(ask, url)
    if successes:
        return successes[0]
    told = "; ".join(reasons)
    if len(reasons) == len(upstreams):
        raise HTTPException(502, f"all upstreams failed: {told}")
    silent = f"{len(upstreams) - len(reasons)} of {len(upstreams)} did not answer within {timeout_s:g} s"
    raise HTTPException(504, f"no upstream answered in time: {'; '.join([*reasons, silent])}")
