# SPDX-License-Identifier: MIT
import errno
import os

from live import *

MIB = 1 << 20
m = Mount("passthrough", "allow_other", "policy=explicit", "commit=0", "live_limit=40M")


def fact(name):
    return m.info()[name]


def make(name, size, marked):
    with open(m / name, "wb") as f:
        f.write(b"text")
        f.truncate(size)
    os.chmod(m / name, 0o666)
    if marked:
        os.setxattr(m / name, "user.zcfs.live", b"on")
        soon(lambda: fact("passthrough_images") == 0)
    return m / name


small, large = make("small", 10 * MIB, True), make("large", 30 * MIB, True)
# A client's image takes 16 MiB.
c = opened(make("file", 100, False))
equal("used", fact("live_used_bytes"), 16 * MIB)
fd = os.open(large, os.O_RDONLY)
equal("passed through beside it", fact("passthrough_images"), 0)
equal("refused", fact("passthrough_refused"), 1)
os.close(fd)
fd = os.open(small, os.O_RDWR)
equal("passed through beside it", fact("passthrough_images"), 1)
equal("used", fact("live_used_bytes"), 26 * MIB)
d = Client()
d.create(0, "w", 100, m / "second")
refused(errno.ENOSPC, d.map, 0, 0)
# What grows is counted.
os.ftruncate(fd, 20 * MIB)
soon(lambda: fact("live_used_bytes") == 36 * MIB)
c.end()
soon(lambda: fact("live_used_bytes") == 20 * MIB)
d.map(0, 0)
equal("used", fact("live_used_bytes"), 36 * MIB)
d.end()
os.close(fd)
soon(lambda: fact("live_used_bytes") == 0)
ok("one limit for images of both kinds")

# A user who opens: half of it is 20 MiB.
refused_before = fact("passthrough_refused")
child = os.fork()
if child == 0:
    status = 1
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        fd = os.open(large, os.O_RDONLY)
        equal("bytes by the page cache", os.read(fd, 4), b"text")
        other = os.open(small, os.O_RDONLY)
        equal("bytes by the image", os.read(other, 4), b"text")
        status = 0
    finally:
        os._exit(status)
equal("the user", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
equal("refused", fact("passthrough_refused"), refused_before + 1)
fd = os.open(large, os.O_RDONLY)
equal("root is not refused", fact("passthrough_images") >= 1, True)
os.close(fd)
m.umount()
ok("a user's share is of both kinds")
