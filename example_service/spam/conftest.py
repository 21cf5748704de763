"""What the load test loads: the service in Docker, or a local process where no engine answers."""

import os
import secrets

from pytest_loadperf import Autoscale, docker_service, process_service

# One token for the service and for the users, who run in a process of their own and inherit this environment.
os.environ.setdefault("API_TOKEN", secrets.token_hex(16))
env = {"API_TOKEN": os.environ["API_TOKEN"]}

local = process_service(
    "uvicorn --factory spam:create_app --port={port} --timeout-keep-alive=30 --no-access-log", ready="/health", env=env
)
loadperf_service = docker_service(
    build=".",
    port=8000,
    ready="/health",
    env=env,
    cpus=0.35,  # so little that one of them is not enough, and that four have room beside the users on two cores
    memory="192m",
    autoscale=Autoscale(min=1, max=5, target_cpu=0.75),
    fallback=local,
)
