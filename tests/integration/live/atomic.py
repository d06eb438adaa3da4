# SPDX-License-Identifier: MIT
"""The daemon is killed at a random moment while files of many pages are committed again and again, one of them alone,
two live ones and a paged one together: each commit is there whole or not at all, also while other files of the store
are committed all the time."""
import os
import random
import signal
import subprocess
import sys
import threading
import time

from live import *

PAGES = 1024
rounds = 3 if os.environ.get("ZC_QUICK") else 8
rng = random.Random(int(os.environ.get("SEED", "11")))
m = Mount()
names = ["alone", "live1", "live2", "paged"]


def versions(name):
    with open(m / name, "rb") as f:
        # (Nothing, where nothing was committed yet.)
        return sorted({(os.pread(f.fileno(), 1, 4096 * n) or b"\0")[0] for n in range(PAGES)})


def work(c, files, committed):
    """Versions of one byte, until the daemon is gone."""
    version = committed[0]
    try:
        while True:
            version = version % 250 + 1
            for n in files:
                c.touch(n, 4096, PAGES, version)
            c("many", *files) if len(files) > 1 else c.commit(0)
            committed[0] = version
    except (OSError, EOFError):
        pass  # (SIGBUS ends who has a file of a dead mount mapped.)


c = Client()
for n, name in enumerate(names):
    c.create(n, "wp" if name == "paged" else "w", PAGES * 4096, m / name)
c.end()
alone, together = [0], [0]
for round_ in range(rounds):
    a, b = Client(), Client()
    a.open(0, "w", m / "alone")
    a.map(0, 0)
    for n, name in enumerate(names[1:], 1):
        b.open(n, "wp" if name == "paged" else "w", m / name)
        b.map(n, 0)
    noise = subprocess.Popen([sys.executable, "-c", """
import os, sys
try:
    fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
    while True:
        os.pwrite(fd, os.urandom(5000), 0)
        os.fsync(fd)
except OSError:
    pass
""", m / "noise"])
    before = alone[0], together[0]
    threads = [threading.Thread(target=work, args=args) for args in
               ((a, [0], alone), (b, [1, 2, 3], together))]
    for t in threads:
        t.start()
    soon(lambda: (alone[0], together[0]) != before)
    time.sleep(rng.random() / 3)
    # (Programs on the mount get an error and end when it is gone.)
    m.crash()
    for t in threads:
        t.join(60)
        assert not t.is_alive(), "a client hangs"
    noise.kill()
    noise.wait()
    found = [versions(name) for name in names]
    for name, v in zip(names, found):
        equal(f"round {round_}: versions in {name}", len(v), 1)
    equal(f"round {round_}: files of one commit", found[1:], [found[1]] * 3)
    for what, v, last in ("alone", found[0][0], alone), ("together", found[1][0], together):
        assert v in (last[0], last[0] % 250 + 1), f"round {round_}: {what} {v}, committed {last[0]}"
        last[0] = v
    for x in a, b:
        x.kill()
ok(f"{rounds} kills: whole commits only, the last one or the one under way")
