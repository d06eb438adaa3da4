# SPDX-License-Identifier: MIT
"""Calls of other programs on a file that is live, default mount: sendfile, copy_file_range both ways, fallocate,
punched holes, O_TRUNC, SEEK_DATA, mtime."""
import ctypes
import errno
import os
import time

from live import *

m = Mount()
path = m / "file"
c = Client()
c.create(0, "w", 1 << 20, path)
c.map(0, 0)
c.fill(0, 0, 1 << 20, 65)
c.put(0, 5000, "live")


def other(function, flags=os.O_RDWR, name=path):
    fd = os.open(name, flags, 0o644)
    try:
        return function(fd)
    finally:
        os.close(fd)


def sendfile(fd):
    r, w = os.pipe()
    n = os.sendfile(w, fd, 5000, 4)
    got = os.read(r, n)
    os.close(r)
    os.close(w)
    return got


equal("sendfile", other(sendfile), b"live")
c.commit(0)
soon(lambda: other(sendfile, os.O_RDONLY) == b"live")
with open(m / "copy", "wb") as f:
    f.truncate(100000)
copy = m / "copy"
other(lambda fd: other(lambda out: os.copy_file_range(fd, out, 50000, 4096, 4096), name=copy))
equal("copied from the live file", read(copy, 5000, 5), "liveA")
with open(copy, "r+b") as f:
    f.write(b"from-the-copy")
c.put(0, 100, "kept")
other(lambda out: other(lambda fd: os.copy_file_range(fd, out, 13, 0, 20000), name=copy))
equal("copied into the live file", c.get(0, 20000, 14), "from-the-copyA")
equal("what was stored before", c.get(0, 100, 4), "kept")
ok("sendfile, copy_file_range from and to a live file")

before = os.stat(path).st_mtime_ns
time.sleep(0.05)
c.put(0, 100, "KEPT")
c.commit(0)
soon(lambda: os.stat(path).st_mtime_ns > before)
ok("a commit sets mtime")

libc = ctypes.CDLL(None, use_errno=True)


def fallocate(mode, offset, length):
    def call(fd):
        if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    other(call)


c.put(0, 40960, "hole")
fallocate(3, 40960, 8192)  # punch
equal("a punched hole", c.get(0, 40960, 4), "")
equal("beside it", c.get(0, 49152, 2), "AA")
c.put(0, 40964, "again")
fallocate(0, 1 << 20, 100000)
equal("extended by fallocate", c.status()[0], (1 << 20) + 100000)
equal("zeros", c.get(0, (1 << 20) + 5, 4), "")
c.commit(0)
equal("SEEK_DATA", other(lambda fd: os.lseek(fd, 0, os.SEEK_DATA)), 0)
other(lambda fd: None, os.O_RDWR | os.O_TRUNC)
equal("O_TRUNC", c.status()[0], 0)
c.resize(0, 50000)
equal("after O_TRUNC", c.get(0, 5000, 4), "")
c.put(0, 41000, "new")
c.commit(0)
m.crash()
equal("after a crash", read(path, 41000, 4), "new\0")
equal("size", os.stat(path).st_size, 50000)
ok("fallocate, holes, SEEK_DATA, O_TRUNC")

# A mount for reading: nothing is live there.
m.remount("ro")
c = Client()
refused(errno.EROFS, c.open, 0, "w", path)
c.open(0, "r", path)
refused(errno.EROFS, c.map, 0, 0)
c.open(1, "ra", path)
c.map(1, 0)
equal("a paged mapping", c.get(1, 41000, 3), "new")
c.commit(1)  # as fsync(2)
refused(errno.EROFS, c.many, 1, 1)
refused(errno.ENOTTY, c.open, 2, "r", "/etc/passwd")
ok("a mount that is read-only")
