"""What goes wrong with the machine that a load comes from, and with the generator's process."""

from __future__ import annotations

from outcome_case import Case, users

IP_LOCAL_PORT_RANGE = 51  # an option of sockets, in Linux since 6.3

MACHINE = (
    Case(
        "suspended",
        "the generator's process is stopped for two seconds of four",
        "inconclusive",
        "stage 'rush': the generator was the bottleneck: held up in *",
        users("""
            import os, subprocess
            pause = f"sleep 1; kill -STOP {os.getpid()}; sleep 2; kill -CONT {os.getpid()}"
            class Suspended(Shopper):
                begun = False
                def on_start(self):
                    if not Suspended.begun: subprocess.Popen(["sh", "-c", pause])
                    Suspended.begun = True
        """),
        stage='Stage("rush", users=4, duration="4s", spawn_rate=20)',
    ),
    Case(
        "all_suspended",
        "generator, pytest and service are stopped for two seconds of four, as by a machine that sleeps",
        "inconclusive",
        "stage 'rush': the generator was the bottleneck: held up in *",
        users("""
            import os, subprocess, sys
            code = (
                "import os, psutil, sys, time; top = psutil.Process(int(sys.argv[1])); "
                "found = [each for each in (top, *top.children(recursive=True)) if each.pid != os.getpid()]; "
                "time.sleep(1); [each.suspend() for each in found]; time.sleep(2); [each.resume() for each in found]"
            )
            class Asleep(Shopper):
                begun = False
                def on_start(self):
                    begun, Asleep.begun = Asleep.begun, True
                    if not begun: subprocess.Popen([sys.executable, "-c", code, str(os.getppid())])
        """),
        stage='Stage("rush", users=4, duration="4s", spawn_rate=20)',
    ),
    Case(
        "clock",
        "the generator's clock is set by an hour",
        "nothing",
        "ok  {name}  p50 < 10s*",
        users("""
            import time
            real = time.time
            class Late(Shopper):
                @task
                def set(self): time.time = lambda: real() + 3600
        """),
    ),
    Case(
        "open_files",
        "a process may have fewer files open than there are users",
        "error",
        "400 users need up to 450 open files, and a process may have 200 here. Raise the limit (*",
        users("""
            import resource
            import gevent.monkey
            if gevent.monkey.is_module_patched("socket"): resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
            class Crowd(Shopper): pass
        """),
        stage='Stage("rush", users=400, duration="1s")',
    ),
    Case(
        "files_open",
        "a process may open no more files, but more users come",
        "inconclusive",
        "stage 'rush': the generator was the bottleneck: the process had too many files open for * of * requests",
        users("""
            import os, resource
            class Leaking(Shopper):
                begun = False
                def on_start(self):
                    begun, Leaking.begun = Leaking.begun, True
                    if not begun:
                        few = max(map(int, os.listdir("/dev/fd"))) + 5
                        resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))
        """),
        stage='Stage("rush", users=12, duration="2s")',
    ),
)

PORTS = (
    Case(
        "ports",
        "no port is left for new connections",
        "inconclusive",
        "stage 'rush': the generator was the bottleneck: no local port was free for * of * requests",
        users(f"""
            import struct
            import gevent.socket
            class Scarce(gevent.socket.socket):
                def connect(self, address):
                    self.setsockopt(0, {IP_LOCAL_PORT_RANGE}, struct.pack("HH", 60_980, 60_983))
                    super().connect(address)
            if gevent.monkey.is_module_patched("socket"): gevent.socket.socket = Scarce
            class Many(Shopper): pass
        """),
        stage='Stage("rush", users=8, duration="2s")',
    ),
)
