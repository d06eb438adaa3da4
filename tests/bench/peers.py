# SPDX-License-Identifier: MIT
"""What zcfs is compared with, each as fast as its options make it, and zcfs's own modes."""

import contextlib
import glob
import gzip
import os
import resource
import shutil

import systems
from systems import BenchError, Fuse, Host, Missing, System, Zcfs, run

# Names, attributes and pages that the kernel may keep for a day, as zcfs and cache=always have it.
MERGERFS = ("cache.files=full,cache.writeback=true,cache.attr=86400,cache.entry=86400,"
            "cache.readdir=true,cache.open=3600,cache.statfs=3600,cache.symlinks=true,"
            "async_read=true,security_capability=false,posix_acl=false,category.create=ff,"
            "minfreespace=0,fsname=zcfs-bench")
# Its libfuse is of the second generation, which writes 4 KiB a request unless told otherwise.
BINDFS = ("big_writes,max_write=131072,kernel_cache,entry_timeout=86400,attr_timeout=86400,"
          "splice_read,splice_write,splice_move,fsname=zcfs-bench")
PASSTHROUGH = {
    "passthrough_ll": ("passthrough_ll", ""),
    "passthrough_ll:always": ("passthrough_ll cache=always", ",cache=always"),
    "passthrough_ll:writeback": ("passthrough_ll cache=always,writeback",
                                 ",cache=always,writeback"),
    "passthrough_ll:ahead": ("passthrough_ll cache=always,writeback, read-ahead 1 MiB",
                             ",cache=always,writeback"),
}
FUSE = ["zcfs", "passthrough_ll", "passthrough_ll:always", "passthrough_ll:writeback", "mergerfs",
        "bindfs"]
READING = ["zcfs:read=splice", "zcfs:read=map", "zcfs:read=copy"]
WRITING = ["zcfs:write=splice", "zcfs:write=copy"]
WAITING = ["zcfs:idle=halt", "zcfs:follow=off+idle=halt"]
MODES = ["zcfs", *READING, *WRITING, *WAITING]
NAMES = FUSE + ["passthrough_ll:ahead", "ext4", "tmpfs"] + MODES[1:]


class Tmpfs(System):
    """Memory, for the speed of reads that the page cache answers."""

    def __init__(self, base, mib):
        super().__init__("tmpfs", "tmpfs", base)
        self.mib = mib
        self.mounted = False

    def start(self):
        if os.geteuid() != 0:
            raise Missing("tmpfs: only root can mount one")
        super().start()
        run(["mount", "-t", "tmpfs", "-o", f"size={self.mib}M,huge=never", "zcfs-bench", self.base])
        self.mounted = True

    def stop(self):
        if self.mounted:
            systems.unmount(self.base)
        self.mounted = False

    def abort(self):
        if self.mounted and systems.is_mounted(self.base):
            systems.detach(self.base)
        self.mounted = False


class ReadAhead(Fuse):
    """A server whose mount has been given more read-ahead than FUSE has, by hand."""

    def mount(self):
        super().mount()
        device = os.stat(self.dir).st_dev
        path = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
        try:
            with open(path, "w", encoding="ascii") as knob:
                knob.write("1024")
        except OSError as err:
            raise Missing(f"{path}: cannot be written: {err.strerror}") from None


def raise_file_limit(files):
    """passthrough_ll holds a descriptor for every file that the kernel knows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + 512
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"{files} files: passthrough_ll needs {wanted} descriptors, "
                         f"the limit is {hard}; use fewer --files or raise ulimit -n")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def select(text):
    """The systems that a --systems value names; passthrough_ll alone means its three variants."""
    chosen = []
    for word in text.split(","):
        if word == "passthrough_ll":
            found = [key for key in FUSE if key.startswith(word)]
        elif word == "passthrough_ll:default":
            found = ["passthrough_ll"]
        elif word in NAMES:
            found = [word]
        else:
            raise BenchError(f"system {word!r} is not known; choose from {', '.join(NAMES)}, "
                             "passthrough_ll:default; passthrough_ll means three variants")
        chosen += [name for name in found if name not in chosen]
    return chosen


class Maker:
    """Makes systems by their keys; programs are built when the first needs them."""

    def __init__(self, place, build, tools, files, size):
        self.place, self.tools = place, tools
        self.build = os.path.abspath(build)
        self.files, self.size = files, size
        self.binary = None

    def make(self, key, group):
        base = os.path.join(self.place.host, f"{group}-{key}".translate(str.maketrans(":=", "--")))
        # Servers of databases do not run as root; mergerfs and bindfs let others in by themselves.
        others = "allow_other" if group == "programs" and os.geteuid() == 0 else ""
        if key == "zcfs" or key.startswith("zcfs:"):
            return Zcfs(base, self.build,
                        key.partition(":")[2].replace("+", ",") or others, key)
        if key == "ext4":
            return Host(key, "ext4" if "ext4" in self.place.host_fs else self.place.host_fs, base)
        if key == "tmpfs":
            return Tmpfs(base, self.size + 64)
        if key in PASSTHROUGH:
            return self.passthrough(base, key, others and "," + others)
        if not shutil.which(key):
            raise Missing(f"{key}: not found; install package {key}, or choose others by --systems")
        if key == "mergerfs":
            return Fuse(key, key, base, [key, "-f", "-o", MERGERFS, "{store}", "{mnt}"])
        return Fuse(key, key, base, [key, "-f", "--multithreaded", "-o", BINDFS, "{store}", "{mnt}"])

    def passthrough(self, base, key, more):
        if not self.binary:
            raise_file_limit(self.files)
            self.binary = build_passthrough(self.tools)
        label, options = PASSTHROUGH[key]
        kind = ReadAhead if key.endswith(":ahead") else Fuse
        return kind(key, label, base,
                    [self.binary, "-f", "-o", "source={store}" + options + more, "{mnt}"])


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
    return systems.compile_c([os.path.join(directory, "passthrough_ll.c")],
                             os.path.join(directory, "passthrough_ll"), flags)


def describe():
    """What a reader must know of the peers' options and versions."""
    facts = {}
    for name, words in (("mergerfs", MERGERFS), ("bindfs", BINDFS + " --multithreaded")):
        with contextlib.suppress(BenchError):
            facts[name] = f"{run([name, '--version']).splitlines()[0].split()[-1]}, {words}"
    return facts
