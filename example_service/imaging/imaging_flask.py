"""POST /magic in Flask."""

from __future__ import annotations

from flask import Flask, Response, request
from imaging import LARGEST_BODY, Refused, magic, picture_in

app = Flask("imaging")
app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY


@app.get("/health")
def health() -> dict[str, str]:
    """Whether it is there."""
    return {"status": "ok"}


@app.post("/magic")
def post() -> Response:
    """The picture of the request, changed."""
    image = request.files.get("image")
    picture = image.read() if image else picture_in(request.get_data())
    return Response(magic(picture), mimetype="image/jpeg")


@app.errorhandler(Refused)
def refused(refused: Refused) -> tuple[dict[str, str], int]:
    """What is wrong, as JSON."""
    return {"detail": refused.detail}, refused.status
