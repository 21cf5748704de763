"""What all three services do: find the picture in a request, and make it small, grey and soft."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from io import BytesIO
from urllib.parse import urlsplit

from PIL import Image, ImageFilter

THREADS = 4  # of each process, in which pictures are fetched and changed: as many in each framework
LARGEST_BODY = 8 * 1024 * 1024  # bytes, of a request and of a picture behind a URL
MOST_PIXELS = 10_000_000  # a small file may well hold more than memory does: each takes 50 MB, in every thread
FETCH_TIMEOUT_S = 3.0
SIZE = (320, 320)  # the result fits in it
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is higher, and it only warns

NO_PICTURE = (
    'there is no picture in the request; send the form field "image", or JSON: {"imageurl": "https://…"} or '
    '{"base64": "…"}'
)


class Refused(Exception):
    """What is wrong with a request, in words, and the status to answer with."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def magic(picture: bytes) -> bytes:
    """The picture as a small JPEG, in grey and softened; Refused where it is no JPEG or PNG that can be read."""
    try:
        with Image.open(BytesIO(picture), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Refused(413, f"the picture has more than {MOST_PIXELS} pixels")
            image.draft("L", SIZE)  # of a JPEG no more is read than this takes
            grey = image.convert("L")
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises, depending on where it is broken
        raise Refused(422, f"the picture is no JPEG or PNG that can be read: {type(error).__name__}") from error
    grey.thumbnail(SIZE)
    result = BytesIO()
    grey.filter(ImageFilter.GaussianBlur(2)).save(result, "JPEG")
    return result.getvalue()


def picture_in(body: bytes) -> bytes:
    """The picture that a JSON body holds or names; Refused where there is none."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):  # the latter for ten thousand opening brackets
        asked = None
    match asked:
        case {"imageurl": str(url)}:
            return fetched(url)
        case {"base64": str(text)}:
            return decoded(text)
    raise Refused(422, NO_PICTURE)


def decoded(text: str) -> bytes:
    """The bytes that base64 says."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(422, f"base64 can't be decoded: {error}") from None


def fetched(url: str) -> bytes:
    """The file behind a URL, of a host and port that PICTURE_HOSTS names, such as `pictures.example.org:443`.

    No others, lest anybody look through the service at what only the service can reach. For the same reason the answer
    does not say why a file could not be fetched; the log does. Redirects are not followed.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as error:
        raise Refused(422, f"imageurl can't be understood: {error}") from None
    if port is None:
        raise Refused(422, "imageurl begins with neither http:// nor https://")
    if f"{parts.hostname}:{port}" not in os.environ.get("PICTURE_HOSTS", "").split():
        raise Refused(422, "imageurl leads to none of the hosts that pictures are fetched from")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        with closing(kind(parts.hostname or "", port, timeout=FETCH_TIMEOUT_S)) as connection:
            connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/")
            with connection.getresponse() as answer:
                picture = answer.read(LARGEST_BODY + 1)
        if answer.status != 200:
            raise HTTPException(f"the answer was {answer.status} {answer.reason}")
    except (OSError, HTTPException, ValueError) as error:
        logging.getLogger("imaging").warning("%r could not be fetched: %r", url, error)
        raise Refused(422, "imageurl could not be fetched") from None
    if len(picture) > LARGEST_BODY:
        raise Refused(413, f"imageurl leads to more than {LARGEST_BODY} bytes")
    return picture
