# SPDX-License-Identifier: MIT
"""A live file of policy auto is committed every few seconds; one of policy explicit is not; fsync of a descriptor on
the mount and the end of the daemon (SIGTERM) commit both."""
import ctypes
import os
import time

from live import *

m = Mount("commit=1")
c = Client()
for n, name in enumerate(["auto", "explicit"]):
    c.create(n, "w", 10000, m / name)
run(m.zcctl, "policy", m / "explicit", "explicit")
for n in range(2):
    c.map(n, 0)
    c.put(n, 0, "zero")
    c.commit(n)
    c.put(n, 5000, "later")
soon(lambda: read(m / "auto", 5000, 5) == "later" and time.sleep(3) is None)
m.crash("commit=1")
equal("auto", read(m / "auto", 5000, 5), "later")
equal("explicit", read(m / "explicit", 0, 4), "zero")
equal("explicit", read(m / "explicit", 5000, 5), "\0" * 5)
ok("auto: by itself; explicit: not")
c = Client()
c.open(0, "w", m / "explicit")
c.map(0, 0)
c.put(0, 0, "sync")
fd = os.open(m / "explicit", os.O_RDONLY)
os.fsync(fd)
c.put(0, 0, "last")
ctypes.CDLL(None).syncfs(fd)  # The kernel does not tell the daemon.
os.close(fd)
m.crash("commit=1")
equal("after fsync", read(m / "explicit", 0, 4), "sync")
c.close(0)
c.open(0, "w", m / "explicit")
c.map(0, 0)
c.put(0, 0, "last")
m.end_daemon()
m.mount()
equal("after the end of the daemon under a client", read(m / "explicit", 0, 4), "last")
ok("fsync and the end of the daemon commit the image")
