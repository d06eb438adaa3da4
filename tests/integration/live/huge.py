# SPDX-License-Identifier: MIT
"""A file of 1 TiB with next to nothing in it: no room for it by default; with room its commits by comparison and its rollback
look at the bytes that there are, and what was stored at its end is there after a crash."""
import errno
import os

import rawlive
from live import *

SIZE, MIDDLE = 1 << 40, 1 << 39
options = "policy=explicit", "commit=0", "live_limit=8T"
m = Mount()
path = m / "huge"
with open(path, "wb") as f:
    f.truncate(SIZE)
    f.seek(MIDDLE)
    f.write(b"middle")
    os.fsync(f.fileno())
text = refused(errno.ENOSPC, rawlive.attach, path, os.O_RDWR)
ok(f"by default: {text}")
m.remount(*options)
c, image = rawlive.attach(path, os.O_RDWR)
equal("size", image.size, SIZE)
os.pwrite(image.fd, b"M", MIDDLE)
os.pwrite(image.fd, b"E", SIZE - 1)
equal("pages written", c.commit_image(image.id)[0], 2)
os.pwrite(image.fd, b"lost", MIDDLE)
os.pwrite(image.fd, b"lost", 4096)
c.rollback(image.id)
equal("rolled back", os.pread(image.fd, 6, MIDDLE) + os.pread(image.fd, 4, 4096), b"Middle\0\0\0\0")
equal("pages written after it", c.commit_image(image.id)[0], 0)
os.close(image.fd)
c.close()
soon(lambda: m.images() == [])
m.crash(*options)
equal("the middle", read(path, MIDDLE, 6), "Middle")
equal("the end", read(path, SIZE - 1, 1), "E")
assert os.stat(path).st_blocks < 1000
m.umount()
ok("1 TiB: compared, committed, rolled back")
