# SPDX-License-Identifier: MIT
"""With -o passthrough everybody who opens a live file has the same memory, with or without the library."""
import mmap
import os

from live import *

if os.geteuid() != 0:
    print("only root can pass files through: not tested")
    raise SystemExit(77)
m = Mount("passthrough=all", "policy=explicit", "commit=0")
path = m / "file"
with open(path, "wb") as f:
    f.write(b"first" + bytes(100000))
fd = os.open(path, os.O_RDWR)
reader = os.open(path, os.O_RDONLY)
map_ = mmap.mmap(fd, 0)
c = opened(path)
assert c.status()[2] & PASSTHROUGH, c.status()
d = opened(path, "r")
equal("the client sees", c.get(0, 0, 5), "first")
c.put(0, 0, "live1")
equal("read", os.pread(reader, 5, 0).decode(), "live1")
equal("mmap", map_[:5].decode(), "live1")
equal("another client", d.get(0, 0, 5), "live1")
map_[:5] = b"store"
equal("a store of a program", c.get(0, 0, 5), "store")
os.pwrite(fd, b"write", 0)
equal("a write of a program", d.get(0, 0, 5), "write")
c.commit(0)
map_[:5] = b"after"
m.crash("passthrough=all", "policy=explicit", "commit=0")
equal("after a crash", read(path, 0, 5), "write")
ok("live clients, read, write and mmap: at once; the commit takes the stores of all")
c.close(0)
d.close(0)

# Size, rollback, and fsync of a program
fd = os.open(path, os.O_RDWR)
c = opened(path)
c.resize(0, 300000)
c.put(0, 299000, "far")
equal("size", os.stat(path).st_size, 300000)
os.fsync(fd)
c.put(0, 0, "undo1")
c.resize(0, 4096)
c.rollback(0)
equal("size after rollback", os.fstat(fd).st_size, 300000)
equal("the start after rollback", os.pread(fd, 5, 0).decode(), "write")
equal("the end after rollback", c.get(0, 299000, 3), "far")
os.ftruncate(fd, 5000)
equal("ftruncate", c.status()[0], 5000)
os.close(fd)
c.end()
m.remount("policy=explicit", "commit=0")
equal("on a default mount", os.stat(path).st_size, 5000)
ok("size, rollback, fsync")
