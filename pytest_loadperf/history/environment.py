"""Where and on what a run happened: the machine, the versions, the commit, and what may be compared with it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pytest_loadperf.plan import Crew, Stage
from pytest_loadperf.records import Commit, ServiceRecord
from pytest_loadperf.redact import redact

_GIT_TIMEOUT_S = 5.0
_PACKAGES = ("pytest", "locust", "pytest-loadperf")


def machine() -> dict[str, str]:
    """What decides how fast this machine is; neither its name nor a clock reading."""
    facts = {
        "cpu": _cpu_model(),
        "cores": str(_cores()),
        "cpu quota": cpu_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")),
        "memory": f"{round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30)} GiB",
        "architecture": platform.machine(),
        "system": platform.system(),
        "kernel": platform.release().partition(".")[0],
        "runner": _runner(),
    }
    return {name: fact for name, fact in facts.items() if fact}


def versions() -> dict[str, str]:
    """The versions that a run depends on, read without importing anything."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def load_fingerprint(
    machine: Mapping[str, str],
    versions: Mapping[str, str],
    stages: Sequence[Stage],
    shape: str | None,
    service: ServiceRecord,
    users: Sequence[str],
    crew: Crew | None = None,
) -> dict[str, str]:
    """What must be the same for two runs of a load to be compared."""
    return {
        **machine,
        "locust": _minor(versions.get("locust", "unknown")),
        "pytest-loadperf": _minor(versions.get("pytest-loadperf", "unknown")),
        "users": ", ".join(users),
        "stages": shape or "; ".join(_in_words(stage) for stage in stages),
        "service": _service_in_words(service),
        "workers": "none" if crew is None else _crew_in_words(crew),
        "limits": ", ".join(f"{name} {limit}" for name, limit in sorted(service.limits.items())) or "none",
    }


def commit(rootpath: Path, history: str = ".loadperf") -> Commit | None:
    """The commit that is checked out at `rootpath`, or None without git or a commit; never a word on the terminal.

    Changes of tracked files make it dirty, those below the directory `history` excepted.
    """
    sha, _, subject = _git(rootpath, "log", "-1", "--no-show-signature", "--format=%H%n%s").partition("\n")
    if not sha:
        return None
    tags = _git(rootpath, "tag", "--points-at", "HEAD", "--sort=-version:refname").splitlines()
    return Commit(
        sha=sha,
        branch=_git(rootpath, "symbolic-ref", "--quiet", "--short", "HEAD") or _branch_in_ci(),
        tag=tags[0] if tags else None,
        default_branch=_default_branch(rootpath),
        dirty=bool(_git(rootpath, "status", "--porcelain", "--untracked-files=no", *_all_but(rootpath, history))),
        subject=redact(subject),
    )


def ci_url() -> str | None:
    """The page of the CI run that this is part of, or None."""
    server, repository, run = (os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    if server and repository and run:
        return redact(f"{server}/{repository}/actions/runs/{run}")
    url = os.environ.get("CI_JOB_URL") or os.environ.get("BUILD_URL")
    return redact(url) if url else None


def _cpu_model() -> str:
    facts: dict[str, str] = {}
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, fact = line.partition(":")
        facts.setdefault(name.strip(), fact.strip())
    arm = " ".join(facts[name] for name in ("CPU implementer", "CPU part") if name in facts)
    mac = "" if facts else _run(["sysctl", "-n", "machdep.cpu.brand_string"])
    return facts.get("model name") or arm or mac or platform.processor() or "unknown"


def _cores() -> int:
    """The cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(own: Path, root: Path) -> str:
    """How many cores the control groups in `own` (and those above them) leave this process, 'none' without a limit."""
    quotas = [quota for group in _groups(own, root) if (quota := _quota(group))]
    return f"{min(quotas):g}" if quotas else "none"


def _groups(own: Path, root: Path) -> list[Path]:
    groups = []
    for line in _read(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "" or "cpu" in controllers.split(","):  # version 2, which names none, or version 1
            group = Path(path.lstrip("/"))
            # From inside a container, the path may be the host's: what limits us is then mounted at the root.
            groups += [root / controllers / above for above in (group, *group.parents)]
    return groups


def _quota(group: Path) -> float | None:
    quota, _, period = _read(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (_read(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _runner() -> str:
    """The kind of CI machine, as the user or GitHub calls it."""
    given = os.environ.get("LOADPERF_RUNNER")
    return given or " ".join(os.environ[name] for name in ("RUNNER_ENVIRONMENT", "ImageOS") if name in os.environ)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _service_in_words(service: ServiceRecord) -> str:
    """Where it runs; of one that ran already the host, since another one is another machine.

    Not the port, which may be a free one of each run; all names of this machine are one.
    """
    kind = service.backend or service.kind
    host = urlsplit(service.name).hostname if service.kind == "url" else None
    if not host:
        return kind
    return f"{kind} {'localhost' if _is_loopback(host) else host}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _in_words(stage: Stage) -> str:
    ramp = f" at {stage.spawn_rate:g}/s" if stage.spawn_rate else ""
    unmeasured = "" if stage.measured else ", not measured"
    return f"{stage.name}: {stage.size}{ramp} for {stage.extent}{unmeasured}"


def _crew_in_words(crew: Crew) -> str:
    return f"{crew.local} here" + (f", {crew.joined} from elsewhere" if crew.joined else "")


def _branch_in_ci() -> str | None:
    """The branch that CI checked out as a bare commit."""
    names = ["GITHUB_HEAD_REF", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "BRANCH_NAME"]
    if os.environ.get("GITHUB_REF_TYPE") != "tag":
        names.insert(1, "GITHUB_REF_NAME")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _default_branch(rootpath: Path) -> str | None:
    remote = _git(rootpath, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD").removeprefix("origin/")
    local = _git(rootpath, "for-each-ref", "--format=%(refname:short)", "refs/heads/main", "refs/heads/master")
    return remote or os.environ.get("CI_DEFAULT_BRANCH") or _default_on_github() or next(iter(local.splitlines()), None)


def _default_on_github() -> str | None:
    """GitHub names it only in the event's payload, and its checkout leaves no origin/HEAD."""
    try:
        branch = json.loads(_read(Path(os.environ["GITHUB_EVENT_PATH"])))["repository"]["default_branch"]
    except (KeyError, TypeError, ValueError):
        return None
    return branch if isinstance(branch, str) else None


def _all_but(rootpath: Path, history: str) -> list[str]:
    """Arguments that name the whole repository without a directory, if that is inside."""
    top = _git(rootpath, "rev-parse", "--show-toplevel")
    kept = (rootpath / history).resolve()
    inside = bool(top) and "://" not in history and kept.is_relative_to(Path(top).resolve())
    return ["--", ":/", *([f":(top,exclude){kept.relative_to(Path(top).resolve())}"] if inside else [])]


def _git(folder: Path, *arguments: str) -> str:
    return _run(["git", "--no-optional-locks", "-C", str(folder), *arguments])


def _run(command: Sequence[str]) -> str:
    """What a command prints, or nothing if it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
