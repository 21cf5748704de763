"""An image registry with one image in it, as much of one as an engine needs to pull."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _image() -> tuple[bytes, dict[str, bytes]]:
    """A manifest, and the blobs that it names: one layer with one file, and the configuration."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as layer:
        layer.addfile(tarfile.TarInfo("empty"))
    packed = gzip.compress(tar.getvalue(), mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/none"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar.getvalue())]},
        }
    ).encode()
    kinds = {"container.image.v1+json": config, "image.rootfs.diff.tar.gzip": packed}
    described = [
        {"mediaType": f"application/vnd.docker.{kind}", "size": len(blob), "digest": _digest(blob)}
        for kind, blob in kinds.items()
    ]
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described[0], "layers": described[1:]}
    return json.dumps(manifest).encode(), {_digest(blob): blob for blob in kinds.values()}


@contextmanager
def registry() -> Iterator[tuple[str, str]]:
    """The name of its image, which any tag will do for, and the image's digest."""
    manifest, blobs = _image()

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.path.rpartition("/")[2]
            body = manifest if "/manifests/" in self.path else blobs.get(wanted, b"")
            self.send_response(200)
            self.send_header("Content-Type", _MANIFEST if body is manifest else "application/octet-stream")
            self.send_header("Docker-Content-Digest", _digest(body))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}/shop", _digest(manifest)
        server.shutdown()
        thread.join()
