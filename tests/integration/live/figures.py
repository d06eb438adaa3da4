# SPDX-License-Identifier: MIT
"""What zcctl info tells of live files agrees with what is so, as JSON and as text."""
import errno
import os

import rawlive
from live import *

MIB = 1 << 20
m = Mount("policy=explicit", "commit=0", "live_limit=64M")


def figures():
    return {k.removeprefix("live_"): v for k, v in m.info().items() if k.startswith("live_")}


def check(**want):
    got = figures()
    equal("figures", {k: got[k] for k in want}, want)


zero = dict.fromkeys(["used_bytes", "images", "clients", "capacity_bytes", "resident_bytes", "attaches", "refused",
                      "commits", "compares", "written_bytes", "compared_bytes", "foreign_seals"], 0)
equal("all of them", figures(), zero | {"limit_bytes": 64 * MIB})
a = Client()
a.create(0, "w", 100000, m / "file")
a.map(0, 0)
b = opened(m / "file", "r")
check(images=1, clients=2, attaches=2, used_bytes=16 * MIB, capacity_bytes=16 * MIB)
tracked = a.status()[2] & TRACKED
a.put(0, 0, "one")
a.put(0, 5000, "two")
a.commit(0)
check(commits=1, compares=0 if tracked else 1, written_bytes=8192)
resident = figures()["resident_bytes"]
assert 8192 <= resident <= 16 * MIB, resident
a.put(0, 0, "three")
a.kill()
soon(lambda: figures()["clients"] == 1)
before = figures()["compares"]
b.commit(0)
check(images=1, clients=1, attaches=2, compares=before + 1, written_bytes=12288)
assert figures()["compared_bytes"] >= 100000
with open(m / "other", "wb") as f:
    f.write(b"other")
refused(errno.ENOSPC, rawlive.attach, m / "other", os.O_RDONLY, 50 * MIB)
check(images=1, refused=1)
text = run(m.zcctl, "info", m.path)
for line in (f"live_limit_bytes: {64 * MIB} (64.0 MiB)", f"live_used_bytes: {16 * MIB} (16.0 MiB)", "live_clients: 1",
             "live_refused: 1", "live_foreign_seals: 0"):
    assert line + "\n" in text, f"{line} is not in:\n{text}"
b.end()
soon(lambda: figures()["images"] == 0)
check(used_bytes=0, clients=0, capacity_bytes=0, resident_bytes=0, attaches=2)
m.umount()
ok("zcctl info agrees with what is so")
