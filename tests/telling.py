"""A service that tells about itself: `python telling.py PORT [burn] [family]`; it runs in containers as well."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

FAMILY = "setsid sleep 600 & echo $!; sleep 600 & echo $!"


class Telling(BaseHTTPRequestHandler):
    pids: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        status = 503 if self.path == "/broken" else 200
        told = {"argv": sys.argv[1:], "cwd": str(Path.cwd()), "env": dict(os.environ), "pids": self.pids}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def burn() -> None:
    while True:
        pass


if __name__ == "__main__":
    if "burn" in sys.argv:
        threading.Thread(target=burn, daemon=True).start()
    if "family" in sys.argv:
        # One that left the session, one that stayed; the parent of both ends at once.
        with subprocess.Popen(["sh", "-c", FAMILY], stdout=subprocess.PIPE, text=True) as family:
            assert family.stdout is not None
            Telling.pids = [int(family.stdout.readline()), int(family.stdout.readline())]
            family.stdout.close()
    if "deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.write(f"telling {os.environ.get('SECRET', 'nothing')}\n")
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Telling).serve_forever()
