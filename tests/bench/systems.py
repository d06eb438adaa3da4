# SPDX-License-Identifier: MIT
"""The filesystems that are compared: how each is built, mounted, made cold and taken down.

All of them keep their data under one directory of one host filesystem. Servers stay in the
foreground as children, so that their end can be waited for, and nothing is ever looked up on a
mount from here: the operations do that in a child with a time-out, and a server that hangs can
still be killed.
"""

import contextlib
import glob
import gzip
import os
import resource
import shutil
import subprocess
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


def raise_file_limit(files):
    """passthrough_ll holds a descriptor for every file that the kernel knows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + 512
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"{files} files: passthrough_ll needs {wanted} descriptors, "
                         f"the limit is {hard}; use fewer --files or raise ulimit -n")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class System:
    """One filesystem under test. `dir` is where the operations work."""

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

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().splitlines()
        return lines[-1] if lines else f"status {self.server.returncode}, no message"

    def unmount(self):
        unmount(self.dir)
        try:
            status = self.server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.key}: still running {STOP_SECONDS} s after umount") from None
        self.server = None
        if status:
            raise BenchError(f"{self.key}: ended with status {status} after umount")

    def remount(self):
        self.unmount()
        self.mount()
        return True

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
    """zcfs as it is mounted without options."""

    def __init__(self, base, build):
        zcfs = os.path.join(build, "fs", "zcfs")
        self.zcctl = os.path.join(build, "tools", "zcctl")
        for program in (zcfs, self.zcctl):
            if not os.access(program, os.X_OK):
                raise Missing(f"{program}: not found; build zcfs and name the build with --build")
        super().__init__("zcfs", "zcfs", base, [zcfs, "{store}", "{mnt}", "-f"])

    def prepare(self):
        run([self.zcctl, "create", self.store])

    def stop(self):
        super().stop()
        # Figures of a store that is damaged afterwards are worth nothing.
        run([self.zcctl, "check", self.store])


PASSTHROUGH = {
    "passthrough_ll": ("passthrough_ll", ""),
    "passthrough_ll:always": ("passthrough_ll cache=always", ",cache=always"),
    "passthrough_ll:writeback": ("passthrough_ll cache=always,writeback",
                                 ",cache=always,writeback"),
}
NAMES = ["zcfs", *PASSTHROUGH, "ext4"]


def passthrough(base, key, binary):
    label, options = PASSTHROUGH[key]
    return Fuse(key, label, base, [binary, "-f", "-o", "source={store}" + options, "{mnt}"])


def select(text):
    """The systems that a --systems value names; passthrough_ll alone means its three variants."""
    chosen = []
    for word in text.split(","):
        if word == "passthrough_ll":
            found = list(PASSTHROUGH)
        elif word == "passthrough_ll:default":
            found = ["passthrough_ll"]
        elif word in NAMES:
            found = [word]
        else:
            raise BenchError(f"system {word!r} is not known; choose from zcfs, passthrough_ll[:"
                             "default|:always|:writeback], ext4")
        chosen += [name for name in found if name not in chosen]
    return chosen


def compile_c(sources, output, flags=()):
    compiler = os.environ.get("CC", "cc").split()
    run([*compiler, "-O2", "-D_GNU_SOURCE", "-std=gnu11", *sources, "-o", output, *flags])
    return output


def example_source():
    """passthrough_ll.c as the distribution ships it."""
    listed = []
    with contextlib.suppress(BenchError):
        listed = run(["dpkg", "-L", "libfuse3-dev"]).split()
    listed += glob.glob("/usr/share/doc/*fuse3*/example*/*")
    for path in listed:
        if os.path.basename(path) in ("passthrough_ll.c", "passthrough_ll.c.gz") \
                and os.path.exists(path):
            return path
    raise Missing("passthrough_ll.c: not found among libfuse's examples; install libfuse3-dev "
                  "with its documentation, or leave it out by --systems zcfs,ext4")


def build_passthrough(directory):
    """Compiles the example; its helpers lie beside it, perhaps compressed like itself."""
    source = example_source()
    for name in ("passthrough_ll.c", "passthrough_helpers.h"):
        path = os.path.join(os.path.dirname(source), name)
        target = os.path.join(directory, name)
        if os.path.exists(path):
            shutil.copy(path, target)
        elif os.path.exists(path + ".gz"):
            with gzip.open(path + ".gz") as packed, open(target, "wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            raise Missing(f"{path}: not found; install libfuse3-dev with its documentation")
    flags = run(["pkg-config", "--cflags", "--libs", "fuse3"]).split()
    return compile_c([os.path.join(directory, "passthrough_ll.c")],
                     os.path.join(directory, "passthrough_ll"), flags)


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
