"""Removes the containers of runs that were killed before they could do it themselves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from docker import DockerClient
from docker.errors import APIError

from pytest_loadperf import owner
from pytest_loadperf.notice import Notice

PREFIX = "loadperf-"  # of the name of each Compose project of ours, with its owner's mark
KEPT = "loadperf-kept-"
PROJECT = "com.docker.compose.project"


def sweep(client: DockerClient, say: Callable[[str], None]) -> list[str]:
    """Remove what dead owners left; its names. What a living run uses, or was kept on purpose, stays."""
    removed = []
    for found in client.api.containers(all=True, filters={"label": f"{owner.OURS}=1"}):
        labels = found["Labels"]
        if (owned := owner.left_by(labels)) and _remove(client, found["Id"]):
            name = found["Names"][0].lstrip("/")
            say(Notice(f"loadperf: removed container {name} left behind by a run that was killed (pid {owned.pid})"))
            removed.append(name)
            if project := labels.get(PROJECT):
                _remove_project(client, project)
    # Compose makes these before the first container.
    for made in (*client.networks.list(filters={"label": PROJECT}), *client.volumes.list(filters={"label": PROJECT})):
        project = (made.attrs["Labels"] or {}).get(PROJECT, "")
        ours = project.startswith(PREFIX) and not project.startswith(KEPT)
        if ours and (by := owner.Owner.named(project)) and by.is_gone:
            _remove_project(client, project)
    return removed


def _remove(client: DockerClient, container: str) -> bool:
    try:
        client.api.remove_container(container, force=True, v=True)
    except APIError:
        return False  # another run sweeps at the same time
    return True


def _remove_project(client: DockerClient, project: str) -> None:
    """The networks, volumes and images of a Compose project, as soon as its last container is gone."""
    of_project = {"label": f"{PROJECT}={project}"}
    with suppress(APIError):  # a container still uses it: the next one's removal comes back here
        for network in client.networks.list(filters=of_project):
            network.remove()
        for volume in client.volumes.list(filters=of_project):
            volume.remove()
        for image in client.images.list(filters={"reference": f"{project}*"}):
            client.images.remove(image.tags[0])
