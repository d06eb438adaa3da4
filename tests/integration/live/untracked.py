# SPDX-License-Identifier: MIT
"""A client whose stores cannot be tracked: commits compare, and miss nothing."""
from live import *

m = Mount()
path = m / "file"
a = Client(ZC_NO_TRACKING="1")
a.create(0, "w", 8 << 20, path)
a.map(0, 0)
assert not a.status()[2] & TRACKED
b = opened(path)
a.fill(0, 0, 8 << 20, 65)
b.put(0, 5000000, "b-was-here")
b.commit(0)
a.put(0, 7000000, "a-was-here")
a.put(0, 1, "lost?")
b.commit(0)
a.put(0, 1, "lost!")
m.crash()
equal("a's page", read(path, 7000000, 10), "a-was-here")
equal("b's page", read(path, 5000000, 10), "b-was-here")
equal("the start", read(path, 0, 6), "Alost?")
equal("the rest", read(path, 4096, 3), "AAA")
ok("committed by comparing")
