# SPDX-License-Identifier: MIT
"""zc_commit_many: live and paged files together; the others stay as they were."""
import errno
import os

from live import *

m = Mount()
c = Client()
for n in range(4):
    c.create(n, "wp" if n == 2 else "w", 20000, m / n)
    c.map(n, 0)
    c.put(n, 0, "old")
c.many(0, 1, 2, 3)
for n in range(4):
    c.put(n, 0, "new")
    c.put(n, 9000, "page")
c.many(2, 0, 3, 0)
for n in range(4):
    c.put(n, 0, "not")
m.crash()
for n, want in enumerate(["new", "old", "new", "new"]):
    equal(f"file {n}", read(m / n, 0, 3), want)
equal("another page", [read(m / n, 9000, 4) for n in range(4)], ["page", "\0\0\0\0", "page", "page"])
ok("live and paged files together")

# Only paged ones, unmapped ones, and by somebody who may only read.
c = Client()
for n in range(4):
    c.open(n, "w" if n else "wp", m / n)
c.map(0, 0)
c.put(0, 0, "alone")
c.many(0, 1)
r = Client()
for n in range(3):
    r.open(n, "r", m / n)
c.map(1, 0)
c.put(1, 0, "by-a-reader")
r.many(0, 1, 2)
r.map(2, 0)
c.put(1, 0, "by-A-reader")
r.many(0, 1, 2)
m.crash()
equal("a paged file alone", read(m / 0, 0, 5), "alone")
equal("a live file by a ticket of a reader", read(m / 1, 0, 11), "by-A-reader")
ok("unmapped files, and files that are open for reading")
