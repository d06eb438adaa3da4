# SPDX-License-Identifier: MIT
"""nginx with sendfile, asked by wrk; fio, sequential and random, one job and four."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import time

from plan import Figure, Operation

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PEERS = ["zcfs", "passthrough_ll:writeback", "mergerfs", "bindfs", "ext4"]
FEW = ["zcfs", "ext4"]
NGINX = """
{user}
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/nginx.log;
events {{ worker_connections 128; }}
http {{
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	{cache}
	client_body_temp_path {place}/n1; proxy_temp_path {place}/n2;
	fastcgi_temp_path {place}/n3; uwsgi_temp_path {place}/n4; scgi_temp_path {place}/n5;
	server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def nginx_program():
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """An nginx of its own over one directory."""

    def __init__(self, bench, root, cached):
        self.place = os.path.join(bench.tools, "nginx")
        os.makedirs(self.place, exist_ok=True)
        self.port = free_port()
        config = os.path.join(self.place, "nginx.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(NGINX.format(
                user="user root;" if os.geteuid() == 0 else "", place=self.place,
                port=self.port, root=root,
                cache="open_file_cache max=100 inactive=60s;" if cached else ""))
        bench.call([nginx_program(), "-e", os.path.join(self.place, "nginx.log"), "-p",
                    self.place, "-c", config])

    def stop(self):
        """Until it is gone: it holds files of the mount."""
        with contextlib.suppress(OSError, ValueError):
            with open(os.path.join(self.place, "nginx.pid"), encoding="ascii") as lines:
                number = int(lines.read())
            os.kill(number, signal.SIGTERM)
            deadline = time.monotonic() + 30
            while runs(number) and time.monotonic() < deadline:
                time.sleep(0.01)


def runs(number):
    """Whoever inherits a daemon may take its time to notice its end."""
    with open(f"/proc/{number}/stat", encoding="ascii", errors="replace") as lines:
        return lines.read().rpartition(")")[2].split()[0] != "Z"


class Nginx(Operation):
    def __init__(self, name, title, size, quick, cached=False):
        super().__init__(name=name, title=title, unit="requests/s", more=True,
                         systems=FEW if quick else PEERS)
        self.size = size
        self.cached = cached
        self.server = None

    def missing(self):
        if not nginx_program():
            return "nginx is not installed"
        return None if shutil.which("wrk") else "wrk is not installed"

    def prepare(self, bench, system):
        www = os.path.join(system.dir, "www")
        # Written once, read once: warm.
        bench.call(["sh", "-c", 'mkdir -p "$1" && head -c "$2" /dev/urandom >"$1/file" && '
                    'sync "$1/file" && cat "$1/file" >/dev/null', "sh", www, str(self.size)])
        self.server = Server(bench, www, self.cached)
        bench.stack.callback(self.server.stop)

    def measure(self, bench, system, turn):
        seconds = 1 if bench.args.quick else 3
        _, out = bench.call(["wrk", "-t1", "-c8", f"-d{seconds}s",
                             f"http://127.0.0.1:{self.server.port}/file"])
        found = re.search(r"^Requests/sec:\s+([0-9.]+)", out, re.MULTILINE)
        if not found or "Non-2xx" in out or "Socket errors" in out:
            raise ValueError(f"{system.key}: wrk says {out[-300:]}")
        rate = float(found.group(1))
        return Figure(rate, int(rate * seconds * self.size))

    def finish(self, bench, system):
        self.server.stop()
        bench.call(["rm", "-rf", os.path.join(system.dir, "www")])


class Fio(Operation):
    """files: how many of `size` bytes each job has. Written files are synced within the time; what
    is read is cold."""

    def __init__(self, name, title, mode, size, files, jobs, quick, block=MIB):
        super().__init__(name=name, title=title, unit="MB/s", more=True,
                         systems=FEW if quick else PEERS)
        self.mode = mode
        self.size, self.files = (min(size, 4 * MIB), min(files, 8)) if quick else (size, files)
        self.jobs = jobs
        self.block = min(block, self.size)

    def missing(self):
        return None if shutil.which("fio") else "fio is not installed"

    def place(self, system):
        return os.path.join(system.dir, "fio")

    def argv(self, system, mode, *more):
        # One GiB in all, whatever the number of jobs.
        size = self.size if self.files > 1 else self.size // self.jobs
        words = ["fio", "--name=job", f"--directory={self.place(system)}", f"--rw={mode}",
                 f"--filesize={size}", f"--nrfiles={self.files}", f"--numjobs={self.jobs}",
                 f"--bs={self.block}", "--ioengine=psync", "--fallocate=none", "--end_fsync=1",
                 "--group_reporting", "--thread", "--output-format=json", "--randrepeat=1",
                 "--file_service_type=sequential", "--openfiles=1", "--invalidate=0", *more]
        if "rand" in mode:
            total = (4 if self.size < GIB else 64) * MIB
            words += [f"--io_size={max(self.block, total // self.jobs)}"]
        return words

    def prepare(self, bench, system):
        bench.call(["rm", "-rf", self.place(system)])
        bench.call(["mkdir", self.place(system)])
        if self.mode != "write":
            layout = [word for word in self.argv(system, "write") if not word.startswith("--bs=")]
            bench.call(layout + [f"--bs={min(self.size, MIB)}"])
        if "read" in self.mode:
            bench.chill(system, 3)

    def measure(self, bench, system, turn):
        _, out = bench.call(self.argv(system, self.mode, f"--randseed={turn}"))
        done = json.loads(out[out.index("{"):])["jobs"][0]
        side = done["read" if "read" in self.mode else "write"]
        if done["error"] or not side["io_bytes"] or not side["runtime"]:
            raise ValueError(f"{system.key}: fio: error {done['error']}")
        return Figure(side["io_bytes"] / side["runtime"] / 1000, side["io_bytes"])

    def finish(self, bench, system):
        bench.call(["rm", "-rf", self.place(system)])


def fio_operations(quick):
    sizes = [("4k", "4 KiB", 4 * KIB, 1024), ("64k", "64 KiB", 64 * KIB, 512),
             ("1m", "1 MiB", MIB, 128), ("1g", "1 GiB", GIB, 1)]
    found = []
    for jobs in (1, 4):
        count = "1 job" if jobs == 1 else f"{jobs} jobs"
        for mode in ("write", "read"):
            for name, title, size, files in sizes:
                found.append(Fio(f"fio-{mode}-{name}-{jobs}", f"fio, {mode}, files of {title}, "
                                 f"{count}", mode, size, max(1, files // jobs), jobs, quick))
        for mode in ("randwrite", "randread"):
            found.append(Fio(f"fio-{mode}-{jobs}", f"fio, {mode} of 4 KiB in 1 GiB, {count}",
                             mode, GIB, 1, jobs, quick, 4 * KIB))
    if quick:
        few = ("fio-write-64k-1", "fio-read-1g-4", "fio-randwrite-4", "fio-randread-1")
        found = [op for op in found if op.name in few]
    return found


def operations(quick):
    return [Nginx("nginx-4k", "nginx, sendfile of 4 KiB", 4 * KIB, quick),
            Nginx("nginx-4k-open", "nginx, sendfile of 4 KiB, open_file_cache", 4 * KIB, quick,
                  True),
            Nginx("nginx-64k", "nginx, sendfile of 64 KiB", 64 * KIB, quick),
            Nginx("nginx-1m", "nginx, sendfile of 1 MiB", MIB, quick),
            *fio_operations(quick)]
