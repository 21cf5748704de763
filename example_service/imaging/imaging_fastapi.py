"""POST /magic in FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from imaging import LARGEST_BODY, NO_PICTURE, THREADS, Refused, magic, picture_in
from starlette.datastructures import UploadFile


@asynccontextmanager
async def limit_threads(_: FastAPI) -> AsyncIterator[None]:
    """Let run_in_threadpool() use no more of them."""
    current_default_thread_limiter().total_tokens = THREADS
    yield


app = FastAPI(title="imaging", lifespan=limit_threads)


@app.get("/health")
async def health() -> dict[str, str]:
    """Whether it is there."""
    return {"status": "ok"}


@app.post("/magic", response_class=Response)
async def post(request: Request) -> Response:
    """The picture of the request, changed."""
    # Nothing in FastAPI limits a body, but a server holds a client to the length that it tells.
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise Refused(411, "send Content-Length")
    if int(length) > LARGEST_BODY:
        raise Refused(413, f"the body has {length} bytes; at most {LARGEST_BODY} are read")
    return Response(await run_in_threadpool(magic, await picture_of(request)), media_type="image/jpeg")


async def picture_of(request: Request) -> bytes:
    """The picture, from wherever it is."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            async with request.form() as form:
                if isinstance(image := form.get("image"), UploadFile):
                    return await image.read()
        except ValueError as error:  # which newer versions of Starlette answer themselves
            raise Refused(400, f"the form can't be read: {error}") from None
        raise Refused(422, NO_PICTURE)
    return await run_in_threadpool(picture_in, await request.body())


@app.exception_handler(Refused)
async def refused(_: Request, refused: Refused) -> JSONResponse:
    """What is wrong, as JSON."""
    return JSONResponse({"detail": refused.detail}, refused.status)
