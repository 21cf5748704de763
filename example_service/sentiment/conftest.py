"""What the load tests load: the service in Docker, or a local process where no engine answers."""

import os
import secrets

from pytest_loadperf import docker_service, process_service

# One key for the service and for the users, who run in a process of their own and inherit this environment.
os.environ.setdefault("API_KEY", secrets.token_hex(16))
env = {"API_USER": "api", "API_KEY": os.environ["API_KEY"]}

local = process_service("gunicorn --bind=127.0.0.1:{port}", ready="/health", env=env)
loadperf_service = docker_service(build=".", port=8000, ready="/health", env=env, cpus=1, memory="256m", fallback=local)
