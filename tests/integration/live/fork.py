# SPDX-License-Identifier: MIT
"""A child of fork has no mapping and no file of its parent's; its end harms nobody."""
from live import *

m = Mount()
for name, flags in ("live", "w"), ("paged", "wp"):
    c = Client()
    c.create(0, flags, 10000, m / name)
    c.map(0, 0)
    equal(f"{name}: the child ends by SIGSEGV", c.fork(0), "139")
    c.put(0, 0, "parent")
    c.commit(0)
    equal("a second child", c.fork(0), "139")
    c.put(0, 8000, "goes_on")
    c.commit(0)
    c.end()
m.crash()
for name in "live", "paged":
    equal(name, read(m / name, 0, 6), "parent")
    equal(name, read(m / name, 8000, 4), "goes")
ok("as documented, live and paged")
