#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files that are awkward to read, and whether they read as they were written.

read_files.py make DIR REF         make the files in DIR, and the same in REF, on another filesystem
read_files.py check DIR REF PAGES [quick]
                                   compare them, read in all ways, with PAGES (the page file) in the
                                   host's page cache and not; quick: only when it is not
read_files.py memory DIR REF       change scattered pages, deliver or commit them, and compare: some
                                   are in the store's memory yet
"""
import mmap
import os
import random
import sys

PAGE = 4096
MIB = 1 << 20


def write_both(fds, data, offset):
    for fd in fds:
        assert os.pwrite(fd, data, offset) == len(data)


class Pair:
    """A file in two places."""

    def __init__(self, name, flags=os.O_RDWR | os.O_CREAT):
        self.fds = [os.open(os.path.join(top, name), flags) for top in sys.argv[2:4]]

    def write(self, data, offset):
        write_both(self.fds, data, offset)

    def sync(self):
        os.fsync(self.fds[0])

    def truncate(self, size):
        for fd in self.fds:
            os.ftruncate(fd, size)

    def close(self):
        for fd in self.fds:
            os.close(fd)


def make():
    r = random.Random(1)
    whole = Pair("whole")
    whole.write(r.randbytes(3 * MIB + 777), 0)
    whole.sync()
    holes = Pair("holes")
    for _ in range(40):
        holes.write(r.randbytes(r.randrange(1, 60000)), r.randrange(5 * MIB))
    holes.truncate(7 * MIB + 12345)
    holes.sync()
    # Two files whose pages come by turns, and one that is hole, page, hole, page ...
    one, two, comb = Pair("one"), Pair("two"), Pair("comb")
    places = list(range(320))
    r.shuffle(places)
    for n, page in enumerate(places):
        one.write(r.randbytes(PAGE), page * PAGE)
        two.write(r.randbytes(PAGE), page * PAGE)
        comb.write(r.randbytes(PAGE), 2 * page * PAGE)
        if n % 80 == 79:
            for pair in (one, two, comb):
                pair.sync()
    for n in range(12):
        small = Pair(f"small{n:02}")
        small.write(r.randbytes(r.randrange(1, 3 * PAGE)), 0)
        small.close()
    empty = Pair("empty")
    hollow = Pair("hollow")
    hollow.truncate(2 * MIB + 1)
    for pair in (whole, holes, one, two, comb, empty, hollow):
        pair.close()


def forget(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def same(what, got, want):
    if got == want:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    sys.exit(f"{what}: {len(got)} bytes of {len(want)}, the first difference at {at}")


def ways(path, want, r):
    """Read it in each way; the kernel's cache of the mount is emptied between."""
    name = os.path.basename(path)
    for block in (1 * MIB, 100000, PAGE):
        if block == PAGE and len(want) > 2 * MIB:
            continue
        forget(path)
        fd, got = os.open(path, os.O_RDONLY), b""
        while True:
            piece = os.read(fd, block)
            if not piece:
                break
            got += piece
        os.close(fd)
        same(f"{name} by {block}", got, want)
    forget(path)
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for _ in range(20):
        at, length = r.randrange(len(want) + 10000), r.randrange(1, 50000)
        same(f"{name} at {at}", os.pread(fd, length, at), want[at:at + length])
    if want:
        forget(path)
        with mmap.mmap(fd, len(want), mmap.MAP_SHARED, mmap.PROT_READ) as m:
            same(f"{name} mapped", m[:], want)
    os.close(fd)
    # Past the kernel's cache: requests as long as the buffer, at any offset.
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buf = mmap.mmap(-1, 2 * MIB)
    for at, length in ((0, 2 * MIB), (PAGE, MIB), (512, MIB), (MIB - 1, MIB + 1), (3, 5), (100, 200000)):
        n = os.preadv(fd, [memoryview(buf)[:length]], at)
        same(f"{name} direct at {at}", buf[:n], want[at:at + length])
    os.close(fd)


def check(pages, hosts):
    r = random.Random(2)
    for host in hosts:
        if host == "cold":
            forget(pages)
        else:
            with open(pages, "rb", buffering=0) as f:
                while f.read(MIB):
                    pass
        for name in sorted(os.listdir(sys.argv[3])):
            with open(os.path.join(sys.argv[3], name), "rb") as f:
                want = f.read()
            if host == "cold" and not name.startswith("small"):
                forget(pages)
            ways(os.path.join(sys.argv[2], name), want, r)


def memory():
    r = random.Random(os.getpid())
    for name in ("one", "comb", "whole"):
        pair = Pair(name, os.O_RDWR)
        pages = os.fstat(pair.fds[1]).st_size // PAGE
        for page in r.sample(range(pages), 100):
            pair.write(r.randbytes(r.randrange(1, PAGE)), page * PAGE + r.randrange(50))
        for page in range(256):  # all of the first request, one by one
            if name == "one" and page % 2 == 0:
                pair.write(r.randbytes(PAGE), page * PAGE)
        if name == "one":  # delivered, but not committed
            os.close(os.dup(pair.fds[0]))
        else:
            pair.sync()
        pair.close()
        with open(os.path.join(sys.argv[3], name), "rb") as f:
            ways(os.path.join(sys.argv[2], name), f.read(), r)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make()
    elif sys.argv[1] == "memory":
        memory()
    else:
        check(sys.argv[4], ("cold",) if sys.argv[5:] == ["quick"] else ("cold", "warm"))
