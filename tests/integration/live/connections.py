# SPDX-License-Identifier: MIT
"""Connections in sequence, ZC_CONNECTIONS of them (20,000; a million by hand): some say nothing, some ask and never read, some
are attached, map the file, store to it, commit, and end at any point of that. The daemon's memory and descriptors do not
grow, the others are served, and at the end the store is sound."""
import errno
import mmap
import os
import random
import struct

import rawlive
import zcproto
from live import *

COUNT = int(os.environ.get("ZC_CONNECTIONS", "20000"))
PAGES, GROWTH_KB = 64, 8192
m = Mount()
path = m / "file"
good = Client()
good.create(0, "w", PAGES * 4096, path)
good.map(0, 0)
pid = m.pid()
fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_NONBLOCK)
address = zcproto.ticket(fd)[1]
rng = random.Random(11)
served = over = 0


def memory_kb():
    """What is the daemon's own: images are shared, and stores of others to them are no growth."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


def descriptors():
    return len(os.listdir(f"/proc/{pid}/fd"))


def silent(c):
    pass


def never_reads(c):
    for kind in zcproto.PING, rawlive.STATUS, zcproto.INFO:
        c.send(kind, bytes(8) if kind == rawlive.STATUS else b"")


def garbage(c):
    c.socket.send(rng.randbytes(rng.randrange(1, 200)))


def attaches(c):
    c.send(rawlive.ATTACH, zcproto.ticket(fd)[0] + bytes(16))


def attached(c):
    image = c.attach(zcproto.ticket(fd)[0])
    with mmap.mmap(image.fd, PAGES * 4096) as map_:
        os.close(image.fd)
        at = rng.randrange(8, PAGES) * 4096
        map_[at:at + 4] = b"mine"
        if rng.random() < 0.5:
            c.send(rawlive.COMMIT, struct.pack("<Q", image.id))
        if rng.random() < 0.5:
            c.send(rawlive.DETACH, struct.pack("<Q", image.id))


def connect(what):
    global served, over
    try:
        c = rawlive.Client(address)
    except BlockingIOError:  # for a moment the queue is full
        over += 1
        return
    try:
        what(c)
        served += 1
    except OSError as e:
        assert e.errno in (errno.EBUSY, errno.EPIPE, errno.ECONNRESET, errno.EAGAIN), e
        over += 1
    c.close()


def some(count):
    for n in range(count):
        # (The last kind takes ten times the time of the others.)
        connect(attached if n % 50 == 0 else (silent, never_reads, garbage, attaches)[n % 4 if n % 3 == 0 else 0])


def settled():
    return len(m.images()) == 1 and m.images()[0]["client_count"] == 1


def at_rest():
    soon(settled)
    return memory_kb(), descriptors()


some(COUNT // 5)
before = at_rest()
for n in range(4):
    some(COUNT // 5)
    good.put(0, 0, f"round-{n:04}")
    good.commit(0)
    equal("read on the mount", read(path, 0, 10), f"round-{n:04}")
    soon(lambda: descriptors() <= before[1] + 2)
after = at_rest()
print(f"{COUNT} connections, {served} served, {over} refused; RssAnon {before[0]} -> {after[0]} kB, "
      f"descriptors {before[1]} -> {after[1]}")
assert served > COUNT // 2, "most of them were refused"
assert after[1] <= before[1] + 2, "descriptors are left"
with open(f"/proc/{pid}/maps") as f:
    sanitized = "san.so" in f.read()  # it keeps what was freed
assert sanitized or after[0] <= before[0] + GROWTH_KB, "memory is left"
os.close(fd)
m.crash()
equal("after a crash", read(path, 0, 10), "round-0003")
ok("neither memory nor descriptors grow")
