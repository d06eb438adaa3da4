# SPDX-License-Identifier: MIT
"""-o cache=none, where the kernel maps what is open for direct I/O: a file that is live cannot be opened for
reading and writing as if nothing were, nor can one become live that is; so no store to a mapping is lost in
silence. Reads and plain writes are of the live memory at once."""
import errno
import mmap
import os

from live import *

OPTIONS = ["cache=none", "policy=explicit", "commit=0"]
m = Mount(*OPTIONS)
path = m / "file"
c = Client()
c.create(0, "w", 100000, path)
c.map(0, 0)
c.put(0, 0, "live1")

refused(errno.EBUSY, os.open, path, os.O_RDWR)
refused(errno.EBUSY, os.open, path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
equal("size", os.stat(path).st_size, 100000)
fd = os.open(path, os.O_WRONLY)
refused(errno.EACCES, mmap.mmap, fd, 4096)
os.pwrite(fd, b"wrote", 10)
os.close(fd)
equal("the client after a write", c.get(0, 10, 5), "wrote")
ok("live: open for reading and writing is refused, write(2) reaches the memory")

fd = os.open(path, os.O_RDONLY)
with mmap.mmap(fd, 8192, mmap.MAP_SHARED, mmap.PROT_READ) as mapping:
    equal("read", os.pread(fd, 5, 0), b"live1")
    equal("mapped", mapping[:5], b"live1")
    c.put(0, 0, "live2")
    equal("read at once", os.pread(fd, 5, 0), b"live2")
    c.commit(0)
    soon(lambda: mapping[:5] == b"live2")
    ok("a mapping for reading sees each commit")
os.close(fd)

# Against the rule: what is open with O_DIRECT is mapped all the same.
fd = os.open(path, os.O_RDWR | os.O_DIRECT)
with mmap.mmap(fd, 8192) as mapping:
    c.put(0, 0, "live3")
    mapping[4096:4100] = b"evil"
    refused(errno.EBUSY, mapping.flush)
    equal("the client", c.get(0, 0, 5), "live3")
    os.pwrite(fd, b"wrote", 20)
    equal("the client after a write", c.get(0, 20, 5), "wrote")
os.close(fd)
c.commit(0)
m.crash(*OPTIONS)
with open(path, "rb") as f:
    text = f.read(5000)
equal("after a crash", (text[:5], text[10:15], text[20:25], text[4096:4100]), (b"live3", b"wrote", b"wrote", bytes(4)))
ok("stores to a mapping of a direct handle are refused, msync says so")

c.kill()
c = Client()
fd = os.open(path, os.O_RDWR)
with mmap.mmap(fd, 8192) as mapping:
    c.open(0, "w", path)
    refused(errno.EBUSY, c.map, 0, 0)
    mapping[:5] = b"mmap1"
os.close(fd)
c.map(0, 0)
equal("the client has what was mapped", c.get(0, 0, 5), "mmap1")
c.put(0, 0, "live4")
c.end()
# Its image goes a moment later, and the open waits for that; on a loaded machine not long enough.
def opens():
    global fd
    try:
        fd = os.open(path, os.O_RDWR)
    except OSError as e:
        equal("the error", e.errno, errno.EBUSY)
        return False
    return True


soon(opens)
equal("after the last client", os.pread(fd, 5, 0), b"live4")
os.close(fd)
m.umount()
ok("open for reading and writing: it cannot become live; one after the other, they can")
