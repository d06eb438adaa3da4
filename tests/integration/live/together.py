# SPDX-License-Identifier: MIT
"""Processes that map a live file have the same memory; one commits for all; after a crash the file is
at the last commit, after a clean unmount at the last stores."""
import errno
import os

from live import *

m = Mount()
path = m / "file"
a = Client()
a.create(0, "w", 100000, path)
a.map(0, 0)
b, reader = opened(path), opened(path, "r")
a.put(0, 10, "from-a")
equal("b sees", b.get(0, 10, 6), "from-a")
equal("a reader sees", reader.get(0, 10, 6), "from-a")
b.put(0, 99000, "from-b")
equal("a sees", a.get(0, 99000, 6), "from-b")
size, capacity, flags = b.status()
equal("size", size, 100000)
assert capacity >= 16 << 20, capacity
assert flags & (LIVE | MAPPED | WRITABLE) == LIVE | MAPPED | WRITABLE, flags
assert not reader.status()[2] & WRITABLE
ok("the same memory")

# Each commits once; the one who commits did not store.
a.commit(0)
m_tracked = flags & TRACKED
a.put(0, 10, "FROM-A")
b.put(0, 50000, "more")
reader.commit(0)
a.put(0, 10, "lost-a")
b.put(0, 99000, "lost-b")
m.crash()
for c in a, b, reader:
    refused(errno.ESTALE, c.status)
    refused(errno.ESTALE, c.commit, 0)
refused(errno.ESTALE, a.resize, 0, 5)
refused(errno.ESTALE, a.rollback, 0)
a.put(0, 10, "nowhere")
equal("after the crash", read(path, 10, 6), "FROM-A")
equal("after the crash", read(path, 99000, 6), "from-b")
equal("after the crash", read(path, 50000, 4), "more")
equal("size after the crash", os.stat(path).st_size, 100000)
ok("one commits the stores of all; a crash shows the last commit; old mappings are ESTALE")

for c in a, b, reader:
    c.close(0)
a.open(0, "w", path)
a.map(0, 0)
equal("opened again", a.get(0, 10, 6), "FROM-A")
a.put(0, 10, "closed")
a.close(0)
b.open(0, "w", path)
b.map(0, 0)
equal("after the last client but before a commit", b.get(0, 10, 6), "closed")
b.put(0, 20, "unmounted")
b.end()
a.end()
soon(lambda: m.images() == [])
equal("read when it is paged again", read(path, 10, 19), "closed\0\0\0\0unmounted")
m.remount()
equal("after a clean unmount", read(path, 10, 19), "closed\0\0\0\0unmounted")
ok("stores outlive their program without a commit, and a clean unmount commits them")

# In a crash they are lost: the policy is explicit.
a = opened(path)
a.put(0, 10, "losing")
a.end()
soon(lambda: m.images() == [])
m.crash()
equal("after a crash", read(path, 10, 6), "closed")
print("tracked" if m_tracked else "not tracked: userfaultfd is missing here")
