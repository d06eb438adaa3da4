# SPDX-License-Identifier: MIT
"""The size of a live file: zc_resize, ftruncate and writing beyond the end by others; zeros where they belong;
committed with the bytes."""
import errno
import os

from live import *

m = Mount()
path = m / "file"
a = Client()
a.create(0, "w", 10000, path)
a.map(0, 0)
b = opened(path)
a.fill(0, 0, 10000, 65)
a.commit(0)
a.resize(0, 5000)
equal("size for others", b.status()[0], 5000)
equal("size on the mount", os.stat(path).st_size, 5000)
b.resize(0, 3 << 20)
equal("what was cut off", a.get(0, 4998, 10), "AA")
a.put(0, (3 << 20) - 4, "last")
equal("on the mount", read(path, (3 << 20) - 4, 10), "last")
capacity = a.status()[1]
refused(errno.EFBIG, a.resize, 0, capacity + 1)
refused(errno.EFBIG, os.truncate, path, capacity + 1)
a.resize(0, capacity)
a.put(0, capacity - 3, "end")
a.resize(0, 3 << 20)
b.commit(0)
a.resize(0, 100)
m.crash()
equal("size after the crash", os.stat(path).st_size, 3 << 20)
equal("bytes after the crash", read(path, 4998, 4), "AA\0\0")
equal("bytes after the crash", read(path, (3 << 20) - 4, 10), "last")
ok("the size is committed with the bytes")

a = opened(path, capacity=100 << 20)
assert a.status()[1] >= 100 << 20
small = Client()
small.open(0, "w", path)
refused(errno.EFBIG, small.map, 0, 200 << 20)
small.map(0, 0)
os.truncate(path, 6000)
equal("ftruncate on the mount", a.status()[0], 6000)
a.fill(0, 4096, 2000, 66)
os.truncate(path, 9000)
equal("bytes between", a.get(0, 5998, 5), "BB")
with open(path, "r+b", buffering=0) as f:
    os.pwrite(f.fileno(), b"written", 8990)
    equal("size after a write", a.status()[0], 9000)
    equal("a write is seen", a.get(0, 8990, 7), "written")
    os.pwrite(f.fileno(), b"longer", 20000)
equal("size after a write beyond the end", a.status()[0], 20006)
equal("it is seen", a.get(0, 20000, 6), "longer")
with open(path, "ab", buffering=0) as f:
    f.write(b"appended")
equal("appended", small.get(0, 20006, 8), "appended")
a.commit(0)
m.crash()
equal("after the crash", read(path, 20000, 20), "longerappended")
equal("size", os.stat(path).st_size, 20014)
ok("others on the mount cut, extend, write and append")
