"""A spam filter as an API: POST /check with {"message": "…"} says whether a message is spam."""

import hmac
import os
import sys
from typing import Annotated

from bayes import NaiveBayes
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from messages import messages
from pydantic import BaseModel, StringConstraints
from starlette.middleware.base import RequestResponseEndpoint

LONGEST_MESSAGE = 10_000  # characters
LARGEST_BODY = 128 * 1024  # bytes; the longest message fits with every character escaped
EXAMPLES = 40  # to learn from: enough for the spam of messages.py, and soon learned, when a replica starts


class Check(BaseModel):
    """What is asked."""

    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_MESSAGE)]


class Answer(BaseModel):
    """What is answered; `score` is from 0 to 1, and spam above a half."""

    spam: bool
    score: float


def create_app() -> FastAPI:
    """The ASGI application; the token that it accepts comes from API_TOKEN."""
    token = accepted_token()
    spam_filter = NaiveBayes(messages(EXAMPLES, seed=1))
    app = FastAPI(title="spam", openapi_url=None)  # no /docs: a browser can't send them the token

    @app.middleware("http")
    async def refuse_unread(request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Refuse strangers and large bodies before FastAPI reads, which it does ahead of all dependencies."""
        if request.scope["path"] != "/health":  # request.url is made of the Host header too, which anybody may choose
            if not hmac.compare_digest(given_token(request), token):
                return refusal(401, "send the token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})
            if "Transfer-Encoding" in request.headers:
                return refusal(411, "say how long the body is, with Content-Length")
            if int(request.headers.get("Content-Length", "0")) > LARGEST_BODY:
                return refusal(413, f"the body is larger than {LARGEST_BODY} bytes")
        return await call_next(request)

    @app.exception_handler(RequestValidationError)
    async def unprocessable(_: Request, error: RequestValidationError) -> Response:
        """In words, and without the message, which FastAPI would send back."""
        return refusal(422, "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/check")
    def check(asked: Check) -> Answer:  # no coroutine: it runs in a thread, and /health answers meanwhile
        score = spam_filter.score(asked.message)
        return Answer(spam=score > 0.5, score=score)

    return app


def accepted_token() -> bytes:
    """The token from the environment; without one the service does not start."""
    token = os.environ.get("API_TOKEN", "")
    if not token:
        sys.exit("spam: API_TOKEN is not set; give the token that clients must send: API_TOKEN=$(openssl rand -hex 16)")
    return token.encode()


def given_token(request: Request) -> bytes:
    """The bearer token of a request; empty where it has none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.encode("latin-1") if scheme.lower() == "bearer" else b""  # the bytes as they were sent


def refusal(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the form that FastAPI's own have."""
    return JSONResponse({"detail": detail}, status, headers)
