# SPDX-License-Identifier: MIT
"""A commit takes exactly the pages that were stored to, without comparing, as long as all who can store are
tracked; once one of them has died it compares, once."""
import os

from live import *

m = Mount()
path = m / "file"
a = Client()
a.create(0, "w", 64 << 20, path)
a.map(0, 0)
if not a.status()[2] & TRACKED:
    print("no userfaultfd here: not tested")
    raise SystemExit(77)
b, reader = opened(path), opened(path, "r")
a.touch(0, 4096, 16384, 7)
a.commit(0)


def image():
    images = m.images()
    assert len(images) == 1, images
    return images[0]


def commit(c, pages):
    before = image()
    c.commit(0)
    now = image()
    equal("commits", now["commits"], before["commits"] + 1)
    equal("pages of the commit", now["dirty_pages"], pages)
    return now["compares"] - before["compares"]


equal("first", image()["dirty_pages"], 16384)
equal("compared", commit(b, 0), 0)
a.touch(0, 40960, 1000, 8)
b.touch(0, 81920, 500, 9)
equal("compared", commit(a, 1000), 0)
b.put(0, 5000, "two")
b.put(0, 4096 * 100, "pages")
equal("compared", commit(reader, 2), 0)
fd = os.open(path, os.O_RDWR)
os.pwrite(fd, b"by-write", 4096 * 200 - 4)
os.close(fd)
a.put(0, 4096 * 300, "x")
equal("compared", commit(b, 3), 0)
equal("clients", sorted(c["writable"] for c in image()["clients"]), [False, True, True])
ok("tracked commits take what was stored to, by whomever, and nothing else")

a.put(0, 4096 * 400, "of-the-dead")
a.kill()
reader.kill()
assert commit(b, 1) > 0, "nothing was compared after the death of a client"
b.put(0, 4096 * 401, "x")
equal("compared", commit(b, 1), 0)
c = opened(path)
c.put(0, 4096 * 402, "of-the-closed")
c.close(0)
equal("compared after a client that said good bye", commit(b, 1), 0)
m.crash()
equal("of the dead", read(path, 4096 * 400, 11), "of-the-dead")
equal("of the closed", read(path, 4096 * 402, 13), "of-the-closed")
equal("by write", read(path, 4096 * 200 - 4, 8), "by-write")
for n in range(0, 1000, 37):
    equal(f"page {n}", read(path, 40960 * n, 1), "\t" if n % 2 == 0 else "\b")
ok("a client's death costs one comparison")
