#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A READ of two pieces that lie far apart reads ahead of neither all that lies between them.

read_far.py DIR PAGES    DIR is a fresh mount, PAGES its page file
"""
import ctypes
import mmap
import os
import sys

KIB, MIB = 1 << 10, 1 << 20
top, pages = sys.argv[1:]


def cached(path):
    """Bytes of the file in the host's page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    size = os.path.getsize(path)
    fd = os.open(path, os.O_RDONLY)
    at = libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    flags = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
    if libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(size), flags) != 0:
        sys.exit(f"mincore: {os.strerror(ctypes.get_errno())}")
    os.close(fd)
    return sum(f & 1 for f in flags) * mmap.PAGESIZE


def write(name, data, offset):
    fd = os.open(f"{top}/{name}", os.O_RDWR | os.O_CREAT)
    assert os.pwrite(fd, data, offset) == len(data)
    os.fsync(fd)
    os.close(fd)


write("file", b"a" * 128 * KIB, 0)
write("between", b"b" * 64 * MIB, 0)
write("file", b"c" * 128 * KIB, 128 * KIB)

fd = os.open(pages, os.O_RDONLY)
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
before = cached(pages)
# (Past the mount's cache, so that these are the requests.)
fd = os.open(f"{top}/file", os.O_RDONLY | os.O_DIRECT)
buf = mmap.mmap(-1, 128 * KIB)
for offset in 0, 64 * KIB:
    assert os.preadv(fd, [memoryview(buf)[:64 * KIB if offset == 0 else 128 * KIB]], offset) > 0
assert buf[:] == b"a" * 64 * KIB + b"c" * 64 * KIB
after = cached(pages)
if after - before > 8 * MIB:
    sys.exit(f"192 KiB were read, {(after - before) // KIB} KiB of the page file with them")
print(f"ok: {(after - before) // KIB} KiB read ahead")
