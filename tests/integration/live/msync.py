# SPDX-License-Identifier: MIT
"""zc_msync commits the live files of a range, and is msync(2) for everything else."""
import errno

from live import *

MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
m = Mount()
clients = []
for n, flags in enumerate(["w", "wp"]):
    # (A process for each: the range with holes shall have one of the files only.)
    c = Client()
    c.create(n, flags, 40000, m / n)
    c.map(n, 0)
    c.put(n, 0, "one")
    c.put(n, 30000, "far")
    # (Of a paged file a part of a mapping is not all: docs/COMMITS.md)
    c.msync(n, 0, 1 if n == 0 else 40000, MS_SYNC)
    # (What is mapped of the range is committed all the same.)
    c.put(n, 8192, "part")
    refused(errno.ENOMEM, c.msync, n, 0, 1 << 46, MS_SYNC)
    c.put(n, 0, "two")
    c.msync(n, 0, 40000, MS_ASYNC)
    clients.append(c)
    refused(errno.EINVAL, c.msync, n, 1, 4096, MS_SYNC)
    refused(errno.EINVAL, c.msync, n, 0, 4096, MS_SYNC | MS_ASYNC)
m.crash()
for n in range(2):
    equal("after MS_SYNC and a crash", read(m / n, 0, 3), "one")
    equal("of a range with holes", read(m / n, 8192, 4), "part")
    equal("another page", read(m / n, 30000, 3), "far")
refused(errno.EIO, clients[0].msync, 0, 0, 4096, MS_SYNC)
ok("MS_SYNC commits, MS_ASYNC does not, errors are those of msync(2)")
