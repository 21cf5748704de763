"""A fan-out: GET /first asks all upstreams at once and answers with the first success."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import FastAPI, HTTPException, Query, Response

TIMEOUT_S = 2.0
LONGEST_TIMEOUT_S = 5.0  # Docker kills ten seconds after it has asked to stop: every accepted request is done by then


def create_app() -> FastAPI:
    """The ASGI application; UPSTREAMS has the addresses that it asks, with commas between."""
    upstreams = given_upstreams()
    # Requests would queue for the 100 connections that httpx allows itself: 200 at once are in want of 600. Idle ones
    # are few, as httpx looks through all of them for every request: with as many as come, it does little else.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    client = httpx.AsyncClient(limits=limits, timeout=None)  # the request's own timeout holds for all it does

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
    asked = [asyncio.create_task(ask(client, url)) for url in upstreams]
    reasons = []
    try:
        async with asyncio.timeout(timeout_s):
            for answered in asyncio.as_completed(asked):
                answer = await answered
                if isinstance(answer, httpx.Response):
                    return answer
                reasons.append(answer)
    except TimeoutError:
        reasons.append(f"{len(asked) - len(reasons)} of {len(asked)} did not answer within {timeout_s:g} s")
        raise HTTPException(504, "no upstream answered in time: " + "; ".join(reasons)) from None
    finally:
        for task in asked:
            task.cancel()
    raise HTTPException(502, "all upstreams failed: " + "; ".join(reasons))


async def ask(client: httpx.AsyncClient, url: httpx.URL) -> httpx.Response | str:
    """The answer of an upstream if it is a success, else the reason why there is none, in words."""
    name = f"{url.host}:{url.port}" if url.port else url.host  # without the credentials that an address may have
    try:
        answer = await client.get(url)
    except httpx.HTTPError as error:
        return f"{name}: {str(error) or type(error).__name__}"
    return answer if answer.is_success else f"{name} answered {answer.status_code}"
