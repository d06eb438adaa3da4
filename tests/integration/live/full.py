# SPDX-License-Identifier: MIT
"""A store that is full: a commit fails with ENOSPC, the last one stays and so does the memory; once there is room the
next commit takes all."""
import errno
import os

from live import *



def try_commit(client):
    try:
        client.commit(0)
        return True
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
        return False


m = Mount(create=("--size", "48M"))
path = m / "file"
a = Client()
a.create(0, "w", 16 << 20, path)
a.map(0, 0)
b = opened(path)
a.put(0, 0, "first")
a.put(0, 10 << 20, "far")
a.commit(0)
fd = os.open(m / "filler", os.O_WRONLY | os.O_CREAT)
written = 0
try:
    while written < 100 << 20:
        written += os.write(fd, b"f" * (1 << 20))
        os.fsync(fd)
except OSError as e:
    equal("the filler", e.errno, errno.ENOSPC)
try:
    os.close(fd)
except OSError:
    pass
assert written < 100 << 20, written
a.fill(0, 0, 16 << 20, 66)
for c in a, b, a:
    text = refused(errno.ENOSPC, c.commit, 0)
print("a commit says:", text)
equal("the memory", b.get(0, 10 << 20, 3), "BBB")
ok("ENOSPC, and the memory stays")
os.unlink(m / "filler")
b.put(0, 5, "small")
soon(lambda: try_commit(a))
b.put(0, 0, "lost!")
m.crash()
equal("after the crash", read(path, 0, 12), "BBBBBsmallBB")
equal("after the crash", read(path, 10 << 20, 3), "BBB")
ok("with room the next commit takes all")

# And a crash while it is full
a = opened(path)
a.fill(0, 0, 1 << 20, 67)
a.commit(0)
fd = os.open(m / "filler", os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(fd, b"f" * (1 << 20))
        os.fsync(fd)
except OSError as e:
    equal("the filler", e.errno, errno.ENOSPC)
a.fill(0, 0, 16 << 20, 68)
refused(errno.ENOSPC, a.commit, 0)
m.crash()
equal("the start", read(path, 0, 3), "CCC")
equal("the end", read(path, 15 << 20, 3), "BBB")
ok("a crash then shows the last commit")
