# SPDX-License-Identifier: MIT
"""Who sees whose stores when: a check for each cell of the table in docs/LIVE.md."""
import errno
import mmap
import os

from live import *

m = Mount()
path = m / "file"


def mapped(path, writable):
    fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    try:
        return mmap.mmap(fd, 0, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
    finally:
        os.close(fd)


def other(what, *arguments):
    """Another process with the file: what it reads, or what it writes."""
    code = {
        "read": "sys.stdout.write(os.pread(fd, 5, 0).decode())",
        "mmap": "sys.stdout.write(mmap.mmap(fd, 0, prot=mmap.PROT_READ)[:5].decode())",
        "write": "os.pwrite(fd, sys.argv[2].encode(), 0)",
        "store": "mmap.mmap(fd, 0)[:5] = sys.argv[2].encode()",
    }[what]
    how = "os.O_RDONLY" if what in ("read", "mmap") else "os.O_RDWR"
    return run("python3", "-c", f"import mmap, os, sys\nfd = os.open(sys.argv[1], {how})\n{code}",
               path, *arguments)


def try_map(client):
    try:
        client.map(0, 0)
        return True
    except OSError:
        return False


# Paged: one page cache, everything at once.
with open(path, "wb") as f:
    f.write(b"first" + bytes(100000))
fd, map_ = os.open(path, os.O_RDONLY), mapped(path, False)
for how, text in ("write", "wrote"), ("store", "store"):
    other(how, text)
    equal(f"read after {how}", os.pread(fd, 5, 0).decode(), text)
    equal(f"mmap after {how}", map_[:5].decode(), text)
ok("paged: readers see writes and stores at once")

# Live, default mount. What was opened for reading is cached, and is told at each commit.
c = opened(path)
equal("the image has what was there", c.get(0, 0, 5), "store")
equal("read before", os.pread(fd, 5, 0).decode(), "store")
c.put(0, 0, "live1")
c.commit(0)
soon(lambda: os.pread(fd, 5, 0) == b"live1")
soon(lambda: map_[:5] == b"live1")
equal("another process reads", other("read"), "live1")
equal("another process maps", other("mmap"), "live1")
ok("live client -> opened for reading: at each commit")

writer = os.open(path, os.O_RDWR)
c.put(0, 0, "live2")
equal("a writer's read", os.pread(writer, 5, 0).decode(), "live2")
os.pwrite(writer, b"writ3", 0)
equal("a writer's write", c.get(0, 0, 5), "writ3")
other("write", "writ4")
equal("another's write", c.get(0, 0, 5), "writ4")
try:
    mmap.mmap(writer, 0)
except OSError as e:
    equal("MAP_SHARED for writing", e.errno, errno.ENODEV)
else:
    raise AssertionError("MAP_SHARED of a live file for writing")
os.fsync(writer)
c.put(0, 0, "lost5")
ok("live client <-> opened for writing while live: at once, no MAP_SHARED; fsync commits")
d = opened(path)
equal("live client -> live client", d.get(0, 0, 5), "lost5")
os.close(writer)
os.close(fd)
map_.close()
m.crash()
equal("after a crash", read(path, 0, 5), "writ4")
c.close(0)
d.end()

# Opened for writing through the cache before: it would write whole pages back.
fd = os.open(path, os.O_RDWR)
c.open(0, "w", path)
refused(errno.EBUSY, c.map, 0, 0)
a = Client()
a.open(0, "wa", path)
a.map(0, 0)
assert not a.status()[2] & LIVE
a.put(0, 0, "paged")
equal("a paged mapping of ZC_AUTO", os.pread(fd, 5, 0).decode(), "paged")
a.commit(0)
a.end()
os.close(fd)
soon(lambda: try_map(c))
equal("after that it can be live", c.get(0, 0, 5), "paged")
ok("a cached writer keeps it from becoming live; ZC_AUTO stays paged")
