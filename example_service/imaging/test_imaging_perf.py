"""Which framework is the fastest, and what does it cost to send the picture in one way or another?

`pytest --loadperf example_service/imaging`; the report has all variants side by side.
"""

import json
import os
import re
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from locust import between, constant, task
from picture_server import PICTURE

from pytest_loadperf import LeanHttpUser, LoadResult, Stage, load

BASE64 = {"base64": b64encode(PICTURE).decode()}


class Sender(LeanHttpUser):
    """Sends the picture as ENCODING says, and looks at the result for a while."""

    wait_time = between(5, 15)

    def on_start(self) -> None:
        bodies: dict[str, dict[str, Any]] = {
            "imageurl": {"json": {"imageurl": os.environ["PICTURE_URL"]}},
            "base64": {"json": BASE64},
            "multipart": {"files": {"image": ("picture.jpg", PICTURE, "image/jpeg")}},
        }
        self.body = bodies[os.environ["ENCODING"]]

    @task
    def send(self) -> None:
        with self.client.post("/magic", **self.body, catch_response=True) as answer:
            if answer.status_code == 200 and not (answer.content or b"").startswith(b"\xff\xd8"):
                answer.failure("the answer is no JPEG")


class HastySender(Sender):
    wait_time = constant(0)


crowd = load(Sender, Stage("crowd", users=2000, spawn_rate=50, duration="60s"), trials=5)
alone = load(HastySender, Stage("alone", users=1, duration="20s"))


@pytest.mark.loadperf("failure_rate < 1%", "p50 < baseline + max(50%, 20ms)")
def test_hardly_anybody_is_turned_away(crowd: LoadResult) -> None:
    # Once more, for a small run, in which thresholds are only shown: errors are fast, and would look like success.
    assert crowd.failure_rate < 0.01, f"{crowd.failures} of {crowd.requests} requests failed: {crowd.errors}"
    assert crowd.status_codes["200"] == crowd.requests - crowd.failures  # nothing else is a success
    assert 0 < crowd.bytes_mean < len(PICTURE) / 4  # what comes back is a small picture


WRK = """
function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = io.open(arguments[1]):read("*a")
end
"""


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (Debian: apt install wrk)")
@pytest.mark.parametrize(("loadperf_service", "encoding"), [("aiohttp", "base64")], indirect=True)
def test_wrk_finds_one_connection_as_fast(alone: LoadResult, loadperf_service: Any, tmp_path: Path) -> None:
    script, body = tmp_path / "post.lua", tmp_path / "body.json"
    script.write_text(WRK)
    body.write_text(json.dumps(BASE64))
    command = ["wrk", "-t1", "-c1", "-d5s", "-s", str(script), f"{loadperf_service.url}/magic", "--", str(body)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in printed
    (rps,) = re.findall(r"Requests/sec: +([\d.]+)", printed)
    assert 0.5 < float(rps) / alone.rps < 2, (
        f"wrk makes {rps} requests a second, the user who never waits {alone.rps:.1f}"
    )
