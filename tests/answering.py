"""An HTTP server for the tests: it answers late, wrongly or not at all, as the path asks, and logs how late.

    /anything            200 at once
    /delay/20            200 after 20 ms
    /lognormal           200 after a delay drawn from a log-normal distribution (median 20 ms)
    /status/503          that status
    /hang                never
    /redirect?to=URL     302
    /die                 the process exits with status 7
    /headers             the request's head, as the body
    /close               the connection is closed instead of an answer
    /garbage             what is no HTTP
    /cut                 half an answer
    /burn/20             200 after 20 ms of CPU time
    /eat                 the process takes memory until there is none left
    /child               200, once a child has done so; the next ones have no child

`--log PATH` gets one line per answer: path and milliseconds from the request's last byte to the answer's first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TextIO
from urllib.parse import parse_qs, urlsplit

EAT = "eaten = []\nwhile True: eaten.append(bytearray(2**20))"
CUT = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it"


class Server:
    def __init__(self, log: TextIO | None, seed: int) -> None:
        self._log = log
        self._random = random.Random(seed)
        self._fed = False  # whether a child has eaten

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                received = time.perf_counter()
                await reader.readexactly(_length(head))
                await self._answer(head, writer, received)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter, received: float) -> None:
        target = head.split(b" ", 2)[1].decode()
        word, _, value = urlsplit(target).path.lstrip("/").partition("/")
        await self._wait(word, value)
        if word in ("close", "garbage", "cut"):
            writer.write({"close": b"", "garbage": b"\x00\xff what is this?\r\n\r\n", "cut": CUT}[word])
            await writer.drain()
            raise ConnectionAbortedError
        status, extra, body = 200, "", b"ok"
        if word == "status":
            status = int(value)
        elif word == "redirect":
            status, extra = 302, f"location: {parse_qs(urlsplit(target).query)['to'][0]}\r\n"
        elif word == "headers":
            body = head
        if self._log is not None:
            self._log.write(f"{target} {(time.perf_counter() - received) * 1000:.3f}\n")
        writer.write(f"HTTP/1.1 {status} x\r\n{extra}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async def _wait(self, word: str, value: str) -> None:
        if word == "delay":
            await asyncio.sleep(float(value) / 1000)
        elif word == "lognormal":
            await asyncio.sleep(0.020 * self._random.lognormvariate(0, 0.5))
        elif word == "hang":
            await asyncio.sleep(3600)
        elif word == "die":
            print("dying as asked", flush=True)
            os._exit(7)
        else:
            self._work(word, value)

    def _work(self, word: str, value: str) -> None:
        """What holds up everybody."""
        if word == "burn":
            until = time.process_time() + float(value) / 1000
            while time.process_time() < until:
                pass
        elif word == "eat":
            exec(EAT)
        elif word == "child" and not self._fed:
            self._fed = True
            subprocess.run([sys.executable, "-c", EAT], check=False)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def main(host: str, port: int, log: TextIO | None) -> None:
    server = await asyncio.start_server(Server(log, seed=1).serve, host, port, backlog=1024)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        with suppress(asyncio.CancelledError):
            await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=argparse.FileType("w", bufsize=1))
    options = parser.parse_args()
    sys.stderr.write("answering starts\n")
    asyncio.run(main(options.host, options.port, options.log))
