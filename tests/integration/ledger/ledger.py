# SPDX-License-Identifier: MIT
"""What a mount says that it has moved, for tests that move known bytes and look where they went."""
import json
import mmap
import os
import subprocess

PAGE = 4096
MIB = 1 << 20

# Copies that the daemon makes itself, between two places of its memory.
COPIED = ("read_copy", "read_memory", "write_buffer", "write_copy")


class Mount:
    def __init__(self, zcctl, mnt, store):
        self.zcctl, self.mnt, self.store = zcctl, mnt, store

    def stats(self):
        said = subprocess.run([self.zcctl, "stats", "--json", self.mnt], check=True, capture_output=True, timeout=60)
        return json.loads(said.stdout)

    def path(self, name):
        return os.path.join(self.mnt, name)

    def moves(self, what, **expected):
        return Moves(self, what, expected)

    def chill(self):
        """The page file leaves the host's page cache."""
        with open(os.path.join(self.store, "pages"), "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def resident(self, check):
        """check() with all of the page file in the page cache. (Others may empty that at any time: then again.)"""
        with open(os.path.join(self.store, "pages"), "rb", buffering=0) as f:
            for _ in range(20):
                f.seek(0)
                while f.read(MIB):
                    pass
                try:
                    return check()
                except AssertionError:
                    if is_resident(f.fileno()):
                        raise
        raise AssertionError("nothing stays in the page cache")


def is_resident(fd):
    buf, at = bytearray(MIB), 0
    try:
        while n := os.preadv(fd, [buf], at, os.RWF_NOWAIT):
            at += n
    except BlockingIOError:
        pass
    return at == os.fstat(fd).st_size


class Moves:
    """with mount.moves("text", read_map=4096, fallbacks={"read_no_map": 1}): the bytes of each path, exactly, or a
    range (least, most); those that are not named are 0. Paths of the engine itself (flush_*) are looked at only
    if they are named. In `fallbacks` None stands for any number above 0."""

    def __init__(self, mount, what, expected):
        self.mount, self.what = mount, what
        self.fallbacks = expected.pop("fallbacks", {})
        self.expected = expected

    def __enter__(self):
        self.before = self.mount.stats()
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            return
        after = self.after = self.mount.stats()
        self.bytes = {n[:-4]: after[n[:-4] + "_bytes"] - self.before[n[:-4] + "_bytes"] for n in after
                      if n.endswith("_ops")}
        self.ops = {n: after[n + "_ops"] - self.before[n + "_ops"] for n in self.bytes}
        self.copied = sum(self.bytes[n] for n in COPIED)
        lost = {r: n - self.before["fallbacks"][r] for r, n in after["fallbacks"].items()}
        shown = {n: b for n, b in self.bytes.items() if b}, {r: n for r, n in lost.items() if n}
        for all_of in "read", "write":
            parts = [b for n, b in self.bytes.items() if n.startswith(all_of + "_")]
            assert self.bytes[all_of] == sum(parts), f"{self.what}: {all_of} is not the sum of its parts: {shown}"
        for name, got in self.bytes.items():
            least, most = limits(self.expected.get(name, None if looked_over(name) else 0))
            assert least <= got <= most, f"{self.what}: {name} {got}, not {least} to {most}: {shown}"
            # An operation is a request (the engine may write one in several runs), and has a byte.
            assert bool(got) <= self.ops[name] and (name in ("read", "write") or self.ops[name] <= got), (name, shown)
        for reason, got in lost.items():
            want = self.fallbacks.get(reason, 0)
            assert got == want or (want is None and got), f"{self.what}: fallback {reason} {got}, not {want}: {shown}"
        assert not set(self.expected) - set(self.bytes) and not set(self.fallbacks) - set(lost), "no such name"
        print("ok:", self.what, *(f"{n} {b}" for n, b in shown[0].items()), *(f"{r} {n}" for r, n in shown[1].items()))


def looked_over(name):
    """The sums are looked at with their parts."""
    return name in ("read", "write") or name.startswith("flush_")


def limits(want):
    if want is None:
        return 0, 1 << 62
    return want if isinstance(want, tuple) else (want, want)


def buffer(size, at=0):
    """Memory on a page boundary, so that a request is as long as the call."""
    m = mmap.mmap(-1, size + PAGE)
    view = memoryview(m)[at:at + size]
    view[:] = os.urandom(size)
    return view


def open_direct(path, flags=os.O_RDWR | os.O_CREAT):
    return os.open(path, flags | os.O_DIRECT, 0o644)


def write_cached(path, data, offset=0):
    """By way of the kernel's cache, and out of it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    assert os.pwrite(fd, data, offset) == len(data)
    os.fsync(fd)
    os.close(fd)


def read_direct(path, size, offset=0):
    """By READs as long as the call, whatever the kernel has in its cache."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    m = memoryview(mmap.mmap(-1, size))
    assert os.preadv(fd, [m], offset) == size
    os.close(fd)
    return bytes(m)
