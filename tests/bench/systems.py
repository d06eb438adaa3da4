# SPDX-License-Identifier: MIT
"""The filesystems that are compared: how each is built, mounted, made cold and taken down.

All of them keep their data under one directory of one host filesystem. Servers stay in the
foreground as children, so that their end can be waited for, and nothing is ever looked up on a
mount from here: the operations do that in a child with a time-out, and a server that hangs can
still be killed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

START_SECONDS = 300
STOP_SECONDS = 300
DROP_CACHES = "/proc/sys/vm/drop_caches"


class BenchError(Exception):
    """Something that the user has to know, as one line."""


class Missing(BenchError):
    """A prerequisite that this machine does not have."""


def run(argv, timeout=STOP_SECONDS):
    """Runs a command, quietly unless it fails."""
    try:
        done = subprocess.run(argv, timeout=timeout, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except FileNotFoundError:
        raise Missing(f"{argv[0]}: not found; install it") from None
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(argv)}: not done after {timeout} s") from None
    if done.returncode:
        text = (done.stderr or done.stdout).strip().splitlines()
        raise BenchError(f"{' '.join(argv)}: failed: {text[-1] if text else done.returncode}")
    return done.stdout


def unescape(path):
    """A path as /proc/self/mountinfo writes it, with octal escapes for blanks."""
    return path.encode().decode("unicode_escape").encode("latin-1").decode()


def mounts():
    """(mount point, type) of every mount, read from the kernel's table, which cannot hang."""
    table = []
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            left, _, right = line.partition(" - ")
            table.append((unescape(left.split()[4]), right.split()[0]))
    return table


def is_mounted(path):
    return any(point == path for point, _ in mounts())


def fs_type(path):
    """The type of the filesystem that holds path."""
    best = ("", "unknown")
    for point, kind in mounts():
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def journal(path):
    """What ext4 does for its metadata, which matters to fsync and to deleting; empty if unknown."""
    device = os.stat(path).st_dev
    name = os.path.basename(os.path.realpath(
        f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
    if not os.path.isdir(f"/proc/fs/ext4/{name}"):
        return ""
    with contextlib.suppress(OSError):
        if any(entry.startswith(name + "-") for entry in os.listdir("/proc/fs/jbd2")):
            return ", with a journal"
    return ", without a journal"


def unmount(path):
    if os.geteuid() == 0:
        run(["umount", path])
    else:
        run(["fusermount3", "-u", path])


def detach(path):
    """The last resort: takes a mount out of the tree whether its server answers or not."""
    command = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    with contextlib.suppress(BenchError):
        run(command + [path])


def need_fuse():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Missing("/dev/fuse: cannot be opened; load the fuse module, run as a user who may")


class Workplace:
    """A directory of the host filesystem for one run; `host` is where the systems keep their data."""

    def __init__(self, where, stack):
        self.where = where
        self.stack = stack
        self.top = os.path.realpath(tempfile.mkdtemp(prefix="zcfs-bench.", dir=where))
        stack.callback(self.remove)
        os.chmod(self.top, 0o711)  # programs that run as somebody else pass through
        self.host, self.host_fs = self.top, fs_type(self.top)

    def remove(self):
        held = [point for point, _ in mounts() if point.startswith(self.top + "/")]
        if held:
            raise BenchError(f"{held[0]}: still mounted; unmount it and remove {self.top}")
        shutil.rmtree(self.top)

    def find_room(self, mib):
        """Takes an ext4 image if the directory is on something else and this is root."""
        free = shutil.disk_usage(self.top).free >> 20
        if free < mib:
            raise BenchError(f"{self.where}: {free} MiB free, {mib} MiB needed; use another --dir "
                             "or smaller files")
        if self.host_fs == "ext4" or os.geteuid() != 0:
            return
        image = LoopExt4(self.top, mib)
        self.stack.callback(image.unmount)
        self.host = image.mount()
        self.host_fs = f"ext4 on a loop device over {self.host_fs}"


def call(argv, abort, timeout, what, **more):
    """Runs a program on a mount: (status, stdout, stderr). If it hangs, only the end of the servers,
    by abort(), frees it."""
    options = {"text": True, "stdin": subprocess.DEVNULL, "start_new_session": True, **more}
    try:
        child = subprocess.Popen([*map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 **options)
    except FileNotFoundError:
        raise Missing(f"{argv[0]}: not found; install it") from None
    try:
        out, err = child.communicate(timeout=timeout)
    except BaseException as why:
        abort()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        if isinstance(why, subprocess.TimeoutExpired):
            raise BenchError(f"{what}: not done after {timeout} s") from None
        raise
    return child.returncode, out, err


class System:
    """One filesystem under test. `dir` is where the operations work."""

    server = None

    def __init__(self, key, label, base):
        self.key = key
        self.label = label
        self.base = base
        self.dir = base

    def start(self):
        os.makedirs(self.base)

    def remount(self):
        """Makes the kernel and the server forget everything. True if that is possible here."""
        return False

    def stop(self):
        pass

    def abort(self):
        """Ends it at once, also when it hangs."""

    def pids(self):
        """The server and its children."""
        found, at = [self.server.pid] if self.server else [], 0
        while at < len(found):
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{found[at]}/task"):
                    with open(f"/proc/{found[at]}/task/{task}/children", encoding="ascii") as kids:
                        found += [int(pid) for pid in kids.read().split()]
            at += 1
        return found

    def lower_file(self):
        """(directory, name) of the host's file that holds what is in the file `big` of the mount."""
        return self.base, "big"


class Host(System):
    """A directory of the host filesystem."""


class Fuse(System):
    """A FUSE server in the foreground."""

    def __init__(self, key, label, base, argv):
        super().__init__(key, label, base)
        self.store = os.path.join(base, "store")
        self.dir = os.path.join(base, "mnt")
        self.log = os.path.join(base, "log")
        self.argv = [word.format(store=self.store, mnt=self.dir) for word in argv]
        self.server = None

    def prepare(self):
        os.mkdir(self.store)

    def start(self):
        super().start()
        os.mkdir(self.dir)
        self.prepare()
        self.mount()

    def mount(self):
        with open(self.log, "ab") as log:
            self.server = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not is_mounted(self.dir):
            if self.server.poll() is not None:
                raise BenchError(f"{self.key}: ended at once: {self.last_words()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.key}: not mounted after {START_SECONDS} s")
            time.sleep(0.01)

    def last_words(self, status=None):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().splitlines()
        if lines:
            return lines[-1]
        return f"status {self.server.returncode if status is None else status}, no message"

    def unmount(self):
        unmount(self.dir)
        try:
            status = self.server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.key}: still running {STOP_SECONDS} s after umount") from None
        self.server = None
        if status:
            raise BenchError(f"{self.key}: ended with status {status} after umount: "
                             f"{self.last_words(status)}")

    def remount(self):
        self.unmount()
        self.mount()
        return True

    def lower_file(self):
        return self.store, "big"

    def stop(self):
        if self.server:
            self.unmount()

    def abort(self):
        if self.server and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        self.server = None
        if is_mounted(self.dir):
            detach(self.dir)


class Zcfs(Fuse):
    """zcfs, without options unless some are given."""

    def __init__(self, base, build, options="", key="zcfs"):
        zcfs = os.path.join(build, "fs", "zcfs")
        self.zcctl = os.path.join(build, "tools", "zcctl")
        for program in (zcfs, self.zcctl):
            if not os.access(program, os.X_OK):
                raise Missing(f"{program}: not found; build zcfs and name the build with --build")
        argv = [zcfs, "{store}", "{mnt}", "-f"] + (["-o", options] if options else [])
        label = "zcfs" if key == "zcfs" else f"zcfs {options}"
        super().__init__(key, label, base, argv)

    def prepare(self):
        run([self.zcctl, "create", self.store])

    def lower_file(self):
        return self.store, "pages"

    def stop(self):
        super().stop()
        # Figures of a store that is damaged afterwards are worth nothing.
        run([self.zcctl, "check", self.store])


def compile_c(sources, output, flags=()):
    compiler = os.environ.get("CC", "cc").split()
    run([*compiler, "-O2", "-D_GNU_SOURCE", "-std=gnu11", *sources, "-o", output, *flags])
    return output


class LoopExt4:
    """An ext4 image for a host directory on something else."""

    def __init__(self, top, mib):
        self.image = os.path.join(top, "ext4.img")
        self.point = os.path.join(top, "ext4")
        self.mib = mib

    def mount(self):
        with open(self.image, "wb") as image:
            image.truncate(self.mib << 20)
        os.mkdir(self.point)
        run(["mkfs.ext4", "-q", "-F", self.image])
        run(["mount", "-o", "loop", self.image, self.point])
        return self.point

    def unmount(self):
        if is_mounted(self.point):
            unmount(self.point)


class Cold:
    """How caches are emptied: the kernel's by drop_caches, or a mount's by mounting again."""

    def __init__(self, method):
        allowed = os.geteuid() == 0 and os.access(DROP_CACHES, os.W_OK)
        if method == "drop" and not allowed:
            raise Missing(f"{DROP_CACHES}: cannot be written; use --cold remount")
        self.method = method if method != "auto" else "drop" if allowed else "remount"

    def describe(self):
        if self.method == "drop":
            return "drop_caches of the whole kernel, the host's caches included"
        return "the mount taken down and mounted again, the host's caches left warm"

    def chill(self, system, what):
        """what: 2 for inodes and names, 3 for file data too. False if it cannot be done."""
        if self.method == "remount":
            return system.remount()
        with open(DROP_CACHES, "w", encoding="ascii") as knob:
            knob.write(str(what))
        return True
