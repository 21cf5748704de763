"""Which framework is the fastest, and what does it cost to send the picture in one way or another?

`pytest --loadperf --loadperf-scale 1 example_service/imaging`; the report has all variants side by side.
"""

import json
import os
import re
import shutil
import subprocess
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from locust import between, task
from picture_server import picture

from pytest_loadperf import LeanHttpUser, LoadResult, Stage, load


def as_base64() -> dict[str, str]:
    return {"base64": b64encode(picture()).decode()}


@cache  # the users share it
def sent_as(encoding: str) -> dict[str, Any]:
    match encoding:
        case "imageurl":
            return {"json": {"imageurl": os.environ["PICTURE_URL"]}}
        case "base64":
            return {"json": as_base64()}
    return {"files": {"image": ("picture.jpg", picture(), "image/jpeg")}}


class Sender(LeanHttpUser):
    """Sends the picture as ENCODING says, again and again."""

    @task
    def send(self) -> None:
        with self.client.post("/magic", **sent_as(os.environ["ENCODING"]), catch_response=True) as answer:
            if answer.status_code == 200 and not (answer.content or b"").startswith(b"\xff\xd8"):
                answer.failure("the answer is no JPEG")


class Looker(Sender):
    """Looks at each result for a while."""

    wait_time = between(0, 20)

    def on_start(self) -> None:
        self.wait()  # the requests come evenly from the beginning


crowd = load(
    Looker,
    Stage("arrival", users=2000, spawn_rate=50, duration="40s", measured=False),
    Stage("crowd", users=2000, duration="30s"),
    trials=5,
)
alone = load(Sender, Stage("alone", users=1, duration="20s"))


@pytest.mark.loadperf("failure_rate < 1%", "p50 < baseline + max(50%, 20ms)")
def test_hardly_anybody_is_turned_away(crowd: LoadResult) -> None:
    # Once more, for a small run, in which thresholds are only shown: errors are fast, and would look like success.
    assert crowd.failure_rate < 0.01, f"{crowd.failures} of {crowd.requests} requests failed: {crowd.errors}"
    assert crowd.status_codes.get("200") == crowd.requests - crowd.failures  # nothing else is a success
    assert 0 < crowd.bytes_mean < len(picture()) / 4  # what comes back is a small picture


WRK = """
function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = io.open(arguments[1]):read("*a")
end
"""


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (Debian: apt install wrk)")
@pytest.mark.parametrize(("loadperf_service", "encoding"), [("aiohttp", "base64")], indirect=True)
def test_wrk_finds_one_connection_as_fast(
    alone: LoadResult, loadperf_service: Any, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    script, body = tmp_path / "post.lua", tmp_path / "body.json"
    script.write_text(WRK)
    body.write_text(json.dumps(as_base64()))
    command = ["wrk", "-t1", "-c1", "-d5s", "-s", str(script), f"{loadperf_service.url}/magic", "--", str(body)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert not re.search("Non-2xx|Socket errors", printed), printed
    (rps,) = re.findall(r"Requests/sec: +([\d.]+)", printed)
    most = 1.25 if pytestconfig.getoption("loadperf_scale") is None else 2  # a small run is too short for more
    assert 1 / most < float(rps) / alone.rps < most, (
        f"wrk makes {rps} requests a second, the user who never waits {alone.rps:.1f}"
    )
