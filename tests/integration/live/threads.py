# SPDX-License-Identifier: MIT
"""Threads of one process use one live file together, and others, while a thread forks and signals come: every call
does what it does, no store is lost, and no child keeps a file live."""
import os

from live import *

rounds = 60 if os.environ.get("ZC_QUICK") else 150
m = Mount()
total = int(run(os.path.dirname(PROGRAM) + "/live_threads", m.path, str(rounds)))
equal("additions", total, 4 * rounds)
soon(lambda: m.images() == [])
m.crash()
with open(m / "common", "rb") as f:
    equal("committed", int.from_bytes(f.read(8), "little"), total)
ok(f"{total} additions by 4 threads, with commits, forks and signals")
