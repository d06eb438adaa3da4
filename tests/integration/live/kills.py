# SPDX-License-Identifier: MIT
"""Clients die by SIGKILL while they are attached, while they store and while they commit: nobody else
notices, no store is lost, the file stays sound."""
import os
import random
import signal
import struct
import time

from live import *

ROUNDS = 4 if os.environ.get("ZC_QUICK") else 10
m = Mount()
path = m / "file"
good = Client()
good.create(0, "w", 1 << 20, path)
good.map(0, 0)
rng = random.Random(7)


def counters():
    with open(path, "rb") as f:
        return [struct.unpack("<Q", os.pread(f.fileno(), 8, at))[0] for at in (65536, 65536 + 4096)]


for n in range(ROUNDS):
    attached, storing, committing = opened(path), opened(path), opened(path)
    attached.put(0, 4096 * (n + 20), f"of-the-dead-{n}")
    storing.spin(0, 65536)
    committing.send("spin", 0, 65536 + 8192)
    committing.receive()
    for _ in range(50):
        committing.send("commit", 0)
    time.sleep(rng.random() / 20)
    for c in committing, attached, storing:
        c.kill()
    good.put(0, 0, f"round-{n:03}")
    good.commit(0)
    good.put(0, 0, f"ROUND-{n:03}")
    equal("the same memory", opened(path).get(0, 4096 * (n + 20), 14), f"of-the-dead-{n}")
stopped = opened(path)
stopped.put(0, 4096 * 10, "of-the-stopped")
stopped.process.send_signal(signal.SIGSTOP)
good.commit(0)
good.put(0, 0, "not-committed")
ok("a stopped client does not stop the others")
stopped.kill()
assert good.status()[2] & LIVE
before = counters()
assert before[0] > 0 and before[1] > 0, before
ok(f"{ROUNDS} rounds: three dead clients in each, the others go on")
m.crash()
equal("the last commit", read(path, 0, 9), f"ROUND-{ROUNDS - 1:03}")
for n in range(ROUNDS):
    equal("stores of the dead", read(path, 4096 * (n + 20), 14).rstrip("\0"), f"of-the-dead-{n}")
equal("stores of the stopped", read(path, 4096 * 10, 14), "of-the-stopped")
equal("what the dead had counted", counters(), before)
ok("after a crash all of it is there")
