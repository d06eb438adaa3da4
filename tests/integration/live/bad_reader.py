# SPDX-License-Identifier: MIT
"""A client that may only read an image tries to change it, or to have it for writing: by its descriptor,
through procfs, by seals. One that may write tries to cut it under the others. Nothing of it works.

Runs itself again as an ordinary user when started as root: root may do everything."""
import errno
import fcntl
import mmap
import os
import shutil
import subprocess
import sys

import live
import rawlive
import zcproto
from live import *

F_ADD_SEALS, F_GET_SEALS = 1033, 1034
SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = 1, 2, 4, 8, 16


def tries_to_change(fd):
    """`fd` may read only."""
    refused(errno.EACCES, lambda: mmap.mmap(fd, 4096))
    refused(errno.EBADF, os.pwrite, fd, b"evil", 0)
    for size in 0, 1 << 30:
        try:
            os.ftruncate(fd, size)
        except OSError as e:
            assert e.errno in (errno.EINVAL, errno.EPERM, errno.EBADF), e
        else:
            raise AssertionError(f"it was truncated to {size}")
    for seal in SHRINK, WRITE, FUTURE_WRITE, SEAL:
        refused(errno.EPERM, fcntl.fcntl, fd, F_ADD_SEALS, seal)
    for call in (os.fchmod, 0o777), (os.fchown, os.getuid(), os.getgid()):
        refused(errno.EPERM, call[0], fd, *call[1:])
    for flags in os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_TRUNC:
        refused(errno.EACCES, os.open, f"/proc/self/fd/{fd}", flags)
    equal("what it reads", os.pread(fd, 4, 0), b"good")


def as_user(path):
    c, image = rawlive.attach(path, os.O_RDONLY)
    assert not image.flags & rawlive.WRITABLE
    tries_to_change(image.fd)
    # Protocol: what needs a writable attachment
    refused(errno.EACCES, c.track, image.id, 0, 0)
    refused(errno.EACCES, c.rollback, image.id)
    equal("size", c.status(image.id)[1], 100000)
    # A file that it cannot open at all
    refused(errno.EACCES, os.open, path + ".secret", os.O_RDONLY)


if len(sys.argv) > 1:
    as_user(sys.argv[1])
    sys.exit()

root = os.geteuid() == 0
m = Mount("policy=explicit", "commit=0", *["allow_other"] * root)
path = m / "file"
good = Client()
good.create(0, "w", 100000, path)
good.map(0, 0)
good.put(0, 0, "good")
os.chmod(path, 0o644)
with open(path + ".secret", "w") as f:
    os.fchmod(f.fileno(), 0)
if root:
    for module in __file__, live.__file__, rawlive.__file__, zcproto.__file__:
        shutil.copy(module, T)
    subprocess.run(["python3", "-B", T + "/bad_reader.py", path], check=True, user=65534,
                   group=65534, extra_groups=[], timeout=100,
                   env=os.environ | {"HOME": "/", "PYTHONPATH": T})
else:
    print("an ordinary user cannot be kept from its own memory: not tested without root")
good.commit(0)
ok("a client that may only read cannot change anything")

# One that may write
c, image = rawlive.attach(path, os.O_RDWR)
for size in 0, 4096, image.capacity * 2:
    refused(errno.EPERM, os.ftruncate, image.fd, size)
assert fcntl.fcntl(image.fd, F_GET_SEALS) & (SHRINK | GROW) == SHRINK | GROW
refused(errno.EBUSY, fcntl.fcntl, image.fd, F_ADD_SEALS, WRITE)
# It can add seals. They harm new clients at most, and end with the image.
fcntl.fcntl(image.fd, F_ADD_SEALS, FUTURE_WRITE | SEAL)
good.put(0, 0, "GOOD")
good.commit(0)
equal("read on the mount", read(path, 0, 4), "GOOD")
os.close(image.fd)
c.close()
good.put(0, 4, "-still")
good.end()
soon(lambda: m.images() == [])
equal("after the sealed image", read(path, 0, 10), "GOOD-still")
again = opened(path)
again.put(0, 0, "fresh")
again.commit(0)
m.crash()
equal("after a crash", read(path, 0, 10), "freshstill")
ok("foreign seals end with the image, nothing is lost")
