# SPDX-License-Identifier: MIT
"""What happens to the name of a live file: renamed, linked, replaced, deleted, made without a name."""
import errno
import os

from live import *

m = Mount()
c = Client()
for n, name in enumerate(["moved", "new", "deleted"]):
    c.create(n, "w", 9000, m / name)
    c.map(n, 0)
    c.put(n, 0, "old")
    c.put(n, 8192, "end")
    c.commit(n)
    c.put(n, 0, name)
os.rename(m / "moved", m / "there")
os.link(m / "there", m / "link")
equal("by its other name", opened(m / "link").get(0, 0, 5), "moved")
c.commit(0)
ok("renamed and linked while live")

with open(m / "target", "w") as f:
    f.write("target")
os.rename(m / "new", m / "target")
os.unlink(m / "deleted")
equal("a deleted file is still live", c.status(2)[0], 9000)
c.commit(2)
c.put(2, 0, "stored")
m.crash()
equal("renamed", read(m / "link", 0, 5), "moved")
equal("renamed over another: name and data are one commit", read(m / "target", 0, 3), "new")
equal("its end", read(m / "target", 8192, 3), "end")
refused(errno.ENOENT, os.stat, m / "deleted")
refused(errno.ENOENT, os.stat, m / "new")
ok("renamed over another file: with its bytes; deleted: gone after a crash")

# Deleted while live, last client gone: its space comes back.
c = Client()
c.create(0, "w", 8 << 20, m / "large")
c.map(0, 0)
c.fill(0, 0, 8 << 20, 65)
c.commit(0)
os.unlink(m / "large")
c.fill(0, 0, 8 << 20, 66)
c.end()
soon(lambda: m.images() == [])
m.umount()
text = run(m.zcctl, "check", m.store)
assert "0 orphans" in text, text
ok("deleted while live: nothing is left")
