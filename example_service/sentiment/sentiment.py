"""A sentiment API: POST /sentiment with {"text": "…"} says how the text sounds."""

from __future__ import annotations

import hmac
import json
import logging
import os
import sys
import time
import traceback
from datetime import UTC, datetime

from flask import Flask, abort, g, request
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.wrappers import Response

LONGEST_TEXT = 1_000  # characters; VADER's time for a text of emoji grows with the square of its length
LARGEST_BODY = 16 * 1024  # bytes; the longest text fits with every character escaped


def create_app() -> Flask:
    """The WSGI application; the user and the key that it accepts come from API_USER and API_KEY."""
    credentials = accepted_credentials()
    analyzer = SentimentIntensityAnalyzer()
    app = Flask("sentiment")
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.register_error_handler(HTTPException, as_json)
    log_requests(app)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/sentiment")
    def sentiment() -> dict[str, str | float]:
        authenticate(credentials)
        score = analyzer.polarity_scores(requested_text())["compound"]
        return {"label": label(score), "score": score}

    return app


def accepted_credentials() -> bytes:
    """`user:key` from the environment; without a key the service does not start."""
    key = os.environ.get("API_KEY", "")
    if not key:
        sys.exit("sentiment: API_KEY is not set; give the key that clients must send: API_KEY=$(openssl rand -hex 16)")
    return f"{os.environ.get('API_USER', 'api')}:{key}".encode()


def authenticate(accepted: bytes) -> None:
    """Refuse a request without the right user and key, in a time that tells nothing about either."""
    sent = request.authorization
    given = f"{sent.username}:{sent.password}" if sent and sent.type == "basic" else ""
    if not hmac.compare_digest(given.encode(), accepted):
        raise Unauthorized(
            "send the user and the key with HTTP basic authentication",
            www_authenticate=WWWAuthenticate("basic", {"realm": "sentiment"}),
        )


def requested_text() -> str:
    """The text of the request; whatever is wrong with it is answered in words."""
    if not request.is_json:
        abort(415, "send JSON, with Content-Type: application/json")
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:  # the latter for ten thousand opening brackets
        abort(400, f"the body is not JSON: {error}")
    text = body.get("text") if isinstance(body, dict) else None
    if text is None:
        abort(422, 'text is missing; expected {"text": "…"}')
    if not isinstance(text, str):
        abort(422, "text is not a string")
    if not text.strip():
        abort(422, "text is empty")
    if len(text) > LONGEST_TEXT:
        abort(413, f"text has {len(text)} characters; at most {LONGEST_TEXT} are read")
    return text


def label(score: float) -> str:
    """The word for a compound score of -1 to 1, at the bounds that VADER's authors recommend."""
    if score >= 0.05:
        return "positive"
    return "negative" if score <= -0.05 else "neutral"


def as_json(error: HTTPException) -> Response:
    """Every error, an unforeseen one too, as {"error": …, "detail": …}; its status and headers stay."""
    response = error.get_response()
    response.data = json.dumps({"error": error.name, "detail": error.description})
    response.content_type = "application/json"
    return response


def log_requests(app: Flask) -> None:
    """One JSON line on stdout for each answer; neither texts nor credentials are ever in it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLine())
    app.logger.handlers = [handler]
    app.logger.setLevel(logging.INFO)
    app.logger.propagate = False

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def log(response: Response) -> Response:
        ms = round((time.perf_counter() - g.started) * 1000, 2)
        fields = {"method": request.method, "path": request.path, "status": response.status_code, "ms": ms}
        app.logger.info("request", extra={"fields": fields})
        return response


class JsonLine(logging.Formatter):
    """A log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's time, level, message and fields; of an exception its type and place."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            kind, _, trace = record.exc_info
            # Not the exception's message: it may quote the text that it could not handle.
            line |= {"error": kind.__name__, "trace": traceback.format_tb(trace)}
        return json.dumps(line)
