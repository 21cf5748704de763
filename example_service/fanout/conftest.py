"""What the load tests load: the fan-out with its upstreams, in Docker or as local processes where no engine answers."""

from pytest_loadperf import compose_service, process_service

local = process_service("python local.py --port={port}", ready="/health")
loadperf_service = compose_service(file="compose.yml", service="fanout", port=8000, ready="/health", fallback=local)
