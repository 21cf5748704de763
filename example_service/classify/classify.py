"""A classifier of texts: POST /classify with {"text": "…"} says which topic the text is about."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Annotated

import topics
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StringConstraints
from starlette.middleware.base import RequestResponseEndpoint

LONGEST_TEXT = 2_000  # characters
LARGEST_BODY = 32 * 1024  # bytes; the longest text fits with every character escaped


class Text(BaseModel):
    """What is to be classified."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT)] = Field(
        examples=["The goalkeeper saved two penalties in the final."]
    )


class Topic(BaseModel):
    """What a text is about."""

    label: str = Field(description="the likeliest topic", examples=["sport"])
    probabilities: dict[str, float] = Field(
        description="of every topic; their sum is 1",
        examples=[{"business": 0.01, "health": 0.0, "science": 0.02, "sport": 0.97, "travel": 0.0}],
    )


def create_app() -> FastAPI:
    """The ASGI application; it remembers its answers to the last CACHE texts, to none unless that is set."""
    model = topics.load()
    app = FastAPI(title="classify", description=__doc__)

    @lru_cache(maxsize=int(os.environ.get("CACHE", "0")))
    def topic_of(text: str) -> Topic:
        (chances,) = model.predict_proba([text])
        probabilities = dict(zip(model.classes_, chances.tolist(), strict=True))
        return Topic(label=max(probabilities, key=probabilities.__getitem__), probabilities=probabilities)

    @app.middleware("http")
    async def refuse_unread(request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Refuse large bodies before FastAPI reads them, which has no limit of its own."""
        if "Transfer-Encoding" in request.headers:
            return JSONResponse({"detail": "say how long the body is, with Content-Length"}, 411)
        if int(request.headers.get("Content-Length", "0")) > LARGEST_BODY:
            return JSONResponse({"detail": f"the body is larger than {LARGEST_BODY} bytes"}, 413)
        return await call_next(request)

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, refused: RequestValidationError) -> JSONResponse:
        # Without the input, which FastAPI would quote: it may be private, or half a character that can't be sent.
        told = [{key: one[key] for key in ("type", "loc", "msg")} for one in refused.errors()]
        return JSONResponse({"detail": told}, 422)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/classify")
    async def classify(asked: Text) -> Topic:
        return topic_of(asked.text)  # a millisecond's work: to hand it to a thread would take as long

    return app


if __name__ == "__main__":
    topics.train_if_needed()
    uvicorn.run(
        "classify:create_app",
        factory=True,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8000")),
        workers=int(os.environ.get("WORKERS", "1")),
        access_log=False,  # a line for each request would be a good part of the work
    )
