# SPDX-License-Identifier: MIT
"""Processes that use libzc (live_client.c), for the tests: live.Client."""
import atexit
import errno
import json
import os
import signal
import subprocess
import time

T = os.environ["T"]
# (An ordinary user may have to take a copy: unprivileged.sh)
PROGRAM = os.environ.get("LIVE_CLIENT") or (
    os.environ["ZC_BUILD"] + "/tests/integration/live/live_client")
LIVE, MAPPED, WRITABLE, TRACKED, PASSTHROUGH = 1, 2, 4, 8, 16


class Client:
    """Each method is a line to the program: c.put(0, 4096, "text")."""

    def __init__(self, *prefix, **environment):
        self.process = subprocess.Popen(
            [*prefix, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | environment)
        atexit.register(self.leave)

    def leave(self):
        """At the end of the test: it would be killed then, and a sanitizer in it may be at its last words."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def send(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            raise EOFError("the client has ended")
        status, _, text = line.rstrip("\n").partition(" ")
        if status != "ok":
            raise OSError(getattr(errno, status), text)
        return text

    def __getattr__(self, name):
        def call(*words):
            self.send(name, *words)
            return self.receive()
        return call

    def status(self, n=0):
        return [int(x) for x in self("status", n).split()]

    def __call__(self, *words):
        self.send(*words)
        return self.receive()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0, "the client fails at its end"


def opened(path, flags="w", capacity=0, **environment):
    """A client with `path` mapped as its file 0."""
    c = Client(**environment)
    c.open(0, flags, path)
    c.map(0, capacity)
    return c


def refused(error, function, *args):
    try:
        function(*args)
    except OSError as e:
        assert e.errno == error, f"{e} instead of {os.strerror(error)}"
        return e.strerror
    raise AssertionError(f"no {os.strerror(error)} of {args}")


def equal(what, got, want):
    assert got == want, f"{what}: {got!r} instead of {want!r}"


def ok(text):
    print(f"ok: {text}", flush=True)


def read(path, offset, length):
    """What a program that opens the file now reads."""
    with open(path, "rb", buffering=0) as f:
        return os.pread(f.fileno(), length, offset).decode()


def soon(function, seconds=60):
    end = time.monotonic() + seconds
    while not function():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


class Mount:
    """The store and the mount of a test (live_run.sh); what is left at the end, that ends."""

    def __init__(self, *options, create=()):
        self.store, self.path, self.zcctl = T + "/store", T + "/mnt", os.environ["ZCCTL"]
        run(self.zcctl, "create", self.store, *create)
        os.makedirs(self.path, exist_ok=True)
        self.mount(*options)

    def __truediv__(self, name):
        return f"{self.path}/{name}"

    def mount(self, *options):
        """Without options nothing commits by itself."""
        run(os.environ["ZCFS"], self.store, self.path, "-o",
            ",".join(options or ["policy=explicit", "commit=0"]))

    def info(self):
        return json.loads(run(self.zcctl, "info", "--json", self.path))

    def pid(self):
        return self.info()["pid"]

    def images(self):
        return json.loads(run(self.zcctl, "live", "--json", self.path))["images"]

    def crash(self, *options):
        """The daemon is killed; the store is sound; it is mounted again."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        self.wait_daemon(pid)
        run(*(["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-uz"]), self.path)
        run(self.zcctl, "check", self.store)
        self.mount(*options)

    def end_daemon(self):
        """By SIGTERM, with programs on the mount."""
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        self.wait_daemon(pid)
        run(self.zcctl, "check", self.store)

    @staticmethod
    def wait_daemon(pid):
        """Until it is gone, or a zombie without other threads: its lock of the store is, too."""
        def ended():
            try:
                with open(f"/proc/{pid}/stat") as f:
                    state = f.read().rpartition(")")[2].split()[0]
                return state in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1
            except (FileNotFoundError, ProcessLookupError):
                return True
        soon(ended)

    def remount(self, *options):
        self.umount()
        self.mount(*options)

    def umount(self):
        run(self.zcctl, "umount", self.path)
        run(self.zcctl, "check", self.store)


def run(*command):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, text=True, timeout=120,
                          stdout=subprocess.PIPE).stdout
