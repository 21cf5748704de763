"""POST /magic in aiohttp."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web
from aiohttp.typedefs import Handler
from imaging import LARGEST_BODY, NO_PICTURE, THREADS, Refused, magic, picture_in


async def health(_: web.Request) -> web.Response:
    """Whether it is there."""
    return web.json_response({"status": "ok"})


async def post(request: web.Request) -> web.Response:
    """The picture of the request, changed."""
    return web.Response(body=await asyncio.to_thread(magic, await picture_of(request)), content_type="image/jpeg")


async def picture_of(request: web.Request) -> bytes:
    """The picture, from wherever it is."""
    if request.content_type == "multipart/form-data":
        try:
            form = await request.post()
        except ValueError as error:
            raise Refused(400, f"the form can't be read: {error}") from None
        if isinstance(image := form.get("image"), web.FileField):
            with image.file as file:
                return file.read()
        raise Refused(422, NO_PICTURE)
    return await asyncio.to_thread(picture_in, await request.read())


@web.middleware
async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is wrong, as JSON."""
    try:
        return await handler(request)
    except Refused as refused:
        return web.json_response({"detail": refused.detail}, status=refused.status)


async def limit_threads(_: web.Application) -> None:
    """Let asyncio.to_thread() use no more of them."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))


app = web.Application(client_max_size=LARGEST_BODY, middlewares=[refusing])
app.on_startup.append(limit_threads)
app.add_routes([web.get("/health", health), web.post("/magic", post)])
