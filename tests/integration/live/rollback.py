# SPDX-License-Identifier: MIT
"""zc_rollback gives every client, reader and mapping the committed bytes and the committed size."""
import errno
import os
import threading

from live import *

m = Mount()
path = m / "file"
a = Client()
a.create(0, "w", 50000, path)
a.map(0, 0)
a.put(0, 0, "committed")
a.put(0, 49000, "end")
a.commit(0)
mtime = os.stat(path).st_mtime_ns
b, reader = opened(path), opened(path, "r")
b.put(0, 0, "SOMETHING")
b.fill(0, 8192, 8192, 88)
a.resize(0, 123456)
a.put(0, 120000, "beyond")
equal("before", reader.get(0, 0, 9), "SOMETHING")
refused(errno.EACCES, reader.rollback, 0)
b.rollback(0)
for c in a, b, reader:
    equal("start", c.get(0, 0, 9), "committed")
    equal("a page", c.get(0, 8192, 4), "")
    equal("size", c.status()[0], 50000)
equal("size on the mount", os.stat(path).st_size, 50000)
equal("read on the mount", read(path, 49000, 10), "end" + "\0" * 7)
ok("everybody has the last commit, and its size")
a.resize(0, 123456)
equal("bytes beyond", a.get(0, 120000, 6), "")
a.put(0, 0, "afterward")
a.commit(0)
m.crash()
equal("after a commit and a crash", read(path, 0, 9), "afterward")
equal("size", os.stat(path).st_size, 123456)
ok("the next commit is as ever")

# By zcctl, from outside, for a live file; and a paged file by the library.
a, p = opened(path), Client()
a.put(0, 0, "forgotten")
run(m.zcctl, "rollback", path)
equal("after zcctl rollback", a.get(0, 0, 9), "afterward")
equal("size", a.status()[0], 123456)
other = m / "paged"
p.create(0, "wp", 9000, other)
p.map(0, 0)
p.put(0, 0, "one")
p.commit(0)
p.put(0, 0, "two")
p.rollback(0)
equal("a paged file", p.get(0, 0, 3), "one")
ok("zcctl rollback of a live file, zc_rollback of a paged one")
