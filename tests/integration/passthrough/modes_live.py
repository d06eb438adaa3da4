# SPDX-License-Identifier: MIT
"""first open, second open -> what is to happen. `cached` and `direct` are those of a file without the
mark, `passthrough` of one with it; `live` is a client of libzc."""
import errno
import os

from live import *

OPTIONS = ["passthrough", "policy=explicit", "commit=0"]
m = Mount(*OPTIONS)


def images():
    return m.info()["passthrough_images"]


def make(name, marked):
    path = m / name
    with open(path, "wb") as f:
        f.write(b"first" + bytes(200000))
    os.setxattr(path, "user.zcfs.live", b"on" if marked else b"off")
    soon(lambda: images() == 0)
    return path


def sees(what, c, fd):
    """A client and a descriptor see each other's bytes at once."""
    c.put(0, 100, "store")
    equal(what + ": read after a store", os.pread(fd, 5, 100).decode(), "store")
    os.pwrite(fd, b"wrote", 100)
    equal(what + ": the client after a write", c.get(0, 100, 5), "wrote")


# cached, then live: refused while the other handle can write, else allowed.
path = make("cached-live", False)
fd = os.open(path, os.O_RDWR)
c = Client()
c.open(0, "w", path)
refused(errno.EBUSY, c.map, 0, 0)
os.close(fd)
fd = os.open(path, os.O_RDONLY)
equal("cached bytes", os.pread(fd, 5, 0), b"first")
c.map(0, 0)
equal("not passed through", c.status()[2] & PASSTHROUGH, 0)
c.put(0, 0, "live!")
c.commit(0)
soon(lambda: os.pread(fd, 5, 0) == b"live!")
os.close(fd)
ok("cached, then live: EBUSY if it can write; else it sees each commit")

# live, then cached / passthrough / direct: for writing direct, with the client's memory.
os.setxattr(path, "user.zcfs.live", b"on")
fd = os.open(path, os.O_RDWR)
equal("passthrough images beside a live client", images(), 0)
sees("live, then passthrough", c, fd)
d = opened(path)
sees("live, then live", d, fd)
os.close(fd)
d.end()
c.end()
ok("live, then passthrough: stays live, and is direct; live, then live: the same memory")

# passthrough, then live: the client gets the memory that is passed through.
path = make("passthrough-live", True)
fd = os.open(path, os.O_RDWR)
c = opened(path)
equal("passed through", c.status()[2] & PASSTHROUGH, PASSTHROUGH)
equal("images", images(), 1)
sees("passthrough, then live", c, fd)
os.close(fd)
c.put(0, 200, "alone")
fd = os.open(path, os.O_RDONLY)
equal("a later open", os.pread(fd, 5, 200), b"alone")
os.close(fd)
c.commit(0)
c.end()
soon(lambda: images() == 0)
equal("in the store", read(path, 200, 5), "alone")
ok("passthrough, then live: the memory that is passed through")

# live first, of a marked file: its own handle is passed through.
path = make("live-first", True)
c = opened(path)
equal("passed through", c.status()[2] & PASSTHROUGH, PASSTHROUGH)
fd = os.open(path, os.O_RDWR)
sees("live of a marked file, then passthrough", c, fd)
os.close(fd)
c.end()
m.remount("cache=none", *OPTIONS)

# direct, then live; live, then direct.
path = make("direct-live", False)
fd = os.open(path, os.O_RDWR | os.O_DIRECT)
c = opened(path)
equal("not passed through", c.status()[2] & PASSTHROUGH, 0)
sees("direct, then live", c, fd)
os.close(fd)
fd = os.open(path, os.O_RDWR | os.O_DIRECT)
sees("live, then direct", c, fd)
refused(errno.EBUSY, os.open, path, os.O_RDWR)
c.commit(0)
os.pwrite(fd, b"after", 100)
m.crash(*OPTIONS)
equal("after a crash", read(path, 100, 5), "wrote")
ok("direct and live: at once, in either order")
