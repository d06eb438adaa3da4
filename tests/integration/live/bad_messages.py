# SPDX-License-Identifier: MIT
"""Random, cut short, oversized, replayed and lying messages of attached clients, a stolen ticket, thousands of
connections, replies that are never read, more capacity than there is: each is refused and the others are served."""
import errno
import os
import random
import socket
import struct
import subprocess
import sys
import threading

import rawlive
import zcproto
from live import *

CONNECTIONS = 300 if os.environ.get("ZC_QUICK") else 3000
m = Mount("policy=explicit", "commit=0", "live_limit=64M")
path = m / "file"
good = Client()
good.create(0, "w", 100000, path)
good.map(0, 0)
rounds = 0


def serves(text):
    """The good client commits, and the store has it."""
    global rounds
    rounds += 1
    good.put(0, 0, f"round-{rounds:04}")
    good.commit(0)
    equal("read on the mount", read(path, 0, 10), f"round-{rounds:04}")
    ok(text)


def ticket():
    fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_NONBLOCK)
    try:
        return zcproto.ticket(fd)[:2]
    finally:
        os.close(fd)


def closed(c):
    c.socket.settimeout(30)
    try:
        return c.socket.recv(100) == b""
    except ConnectionResetError:
        return True


# ---- tickets
one, address = ticket()
thief = subprocess.run([sys.executable, "-c", """
import errno, sys, rawlive
c = rawlive.Client(sys.argv[1])
try:
    c.attach(bytes.fromhex(sys.argv[2]))
except OSError as e:
    sys.exit(0 if e.errno == errno.EPERM else f"{e}")
sys.exit("a stolen ticket is good")
"""[1:], address, one.hex()], timeout=60)
equal("the thief", thief.returncode, 0)
one, address = ticket()
c = rawlive.Client(address)
image = c.attach(one)
refused(errno.ESTALE, rawlive.Client(address).attach, one)
refused(errno.ESTALE, rawlive.Client(address).attach, bytes(16))
serves("a stolen ticket, a used one, an invented one")

# ---- numbers that are not of this connection
two = rawlive.Client(address)
for kind in rawlive.COMMIT, rawlive.STATUS, rawlive.ROLLBACK, rawlive.DETACH:
    for number in image.id, 0, image.id + 1, 2**64 - 1:
        x = rawlive.Client(address)
        try:
            x.ask(kind, struct.pack("<Q", number))
        except OSError as e:
            assert e.errno in (errno.EINVAL, errno.ESTALE), e
        else:
            raise AssertionError(f"message {kind} with the number {number} of somebody else")
        x.close()
refused(errno.EBUSY, c.attach, ticket()[0])
serves("numbers of others, a second ATTACH")

# ---- TRACK: lies about the mapping
pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
null, pipe = os.open("/dev/zero", os.O_RDWR), os.pipe()
sockets = socket.socketpair()
mounted = os.open(path, os.O_RDONLY)
odd = [os.open(name, os.O_RDONLY) for name in (
    "/proc/self/mem", "/proc/self/maps", "/proc/self", "/proc/self/ns/mnt", "/proc/version", T, m.path,
    f"/proc/{good.process.pid}/pagemap", f"/proc/{m.pid()}/pagemap" if os.geteuid() == 0 else "/proc/stat")]
odd += [image.fd, os.open(path, os.O_RDWR), os.open(T, os.O_PATH)]
lies = [(4096, image.capacity, fd) for fd in (null, pipe[0], sockets[0].fileno(), mounted, *odd)]
lies += [(a, n, pagemap) for a, n in (
    (1, 4096), (4096, 1), (4096, 2 * image.capacity), (2**64 - 4096, 8192), (2**63, 2**63),
    (4096, image.capacity), (0, image.capacity), (2**64 - 4096, 4096))]
lies += [(4096, 4096, None), (0, 0, pagemap)]
for address_, length, fd in lies:
    x, i = rawlive.attach(path, os.O_RDWR)
    try:
        tracked = x.track(i.id, address_, length, fd)
    except OSError as e:
        assert e.errno in (errno.EINVAL, errno.EBADMSG, errno.EACCES, errno.EPIPE,
                           errno.ECONNRESET), e
        tracked = None
    except AssertionError:
        tracked = None  # hung up
    # Whatever it was: what this client stores through a mapping of its own is not missed.
    rounds += 1
    text = f"round-{rounds:04}"
    os.pwrite(i.fd, text.encode(), 0)
    good.put(0, 50000, f"good-{rounds:04}")
    if tracked != 1:
        good.commit(0)
        equal(f"after the lie {address_:#x} {length:#x}", read(path, 0, 10), text)
    equal("the good one's", good.get(0, 50000, 9), f"good-{rounds:04}")
    os.close(i.fd)
    x.close()
for fd in pagemap, null, *pipe, mounted, *odd:
    if fd != image.fd:
        os.close(fd)
serves("TRACK with wrong descriptors, addresses and lengths")

# ---- form
rng = random.Random(3)
for kind in range(8, 16):
    for length in 0, 1, 7, 8, 9, 23, 24, 31, 32, 33, 4096, 4097, 60000:
        x = rawlive.Client(address)
        try:
            x.ask(kind, rng.randbytes(length))
        except (OSError, AssertionError, ValueError, struct.error):
            pass
        x.close()
for n in range(200):
    x, i = rawlive.attach(path, os.O_RDWR) if n % 20 == 0 else (rawlive.Client(address), None)
    for _ in range(3):
        try:
            body = rng.randbytes(rng.randrange(64))
            x.socket.send(zcproto.HEADER.pack(zcproto.MAGIC, 1, rng.randrange(16),
                                              rng.choice([len(body), rng.randrange(5000)]), 0) + body)
        except OSError:
            break
    if i:
        os.close(i.fd)
    x.close()
serves("random, cut short and oversized messages")

# ---- replies that are never read; descriptors by the dozen
x, i = rawlive.attach(path, os.O_RDWR)
x.socket.setblocking(False)
try:
    for _ in range(100000):
        x.send(rawlive.STATUS, struct.pack("<Q", i.id))
except OSError:
    pass
serves("a client that never reads, still there")
x.close()
os.close(i.fd)
for _ in range(20):
    x = rawlive.Client(address)
    try:
        socket.send_fds(x.socket, [zcproto.HEADER.pack(zcproto.MAGIC, 1, rawlive.TRACK, 24, 0) +
                                   bytes(24)], [0] * 50)
    except OSError:
        pass
    x.close()
serves("fifty descriptors in a message")

# ---- connections
def connections(make, count):
    for _ in range(count):
        try:
            make().close()
        except OSError as e:
            # (EAGAIN: for a moment the queue is full.)
            assert e.errno in (errno.EBUSY, errno.EPIPE, errno.ECONNRESET, errno.EAGAIN), e


def attached():
    x, i = rawlive.attach(path, os.O_RDWR)
    os.close(i.fd)
    return x


connections(lambda: zcproto.Client(address), CONNECTIONS)
connections(attached, CONNECTIONS // 10)
pid = m.pid()
soon(lambda: sum("socket:" in os.readlink(f"/proc/{pid}/fd/{n}")
                 for n in os.listdir(f"/proc/{pid}/fd")) < 12)
serves(f"{CONNECTIONS} connections, {CONNECTIONS // 10} attachments, none is left")

# ---- capacity
x = Client()
x.create(1, "w", 4096, m / "greedy")
refused(errno.ENOSPC, x.map, 1, 100 << 20)
x.map(1, 40 << 20)
x.create(2, "w", 4096, m / "greedier")
text = refused(errno.ENOSPC, x.map, 2, 40 << 20)
assert "live_limit" in text, text
x.fill(1, 0, 40 << 20, 1)
serves("no more capacity than live_limit")
x.end()

os.close(image.fd)
c.close()
good.end()
soon(lambda: m.images() == [])
m.umount()
ok("the store is sound")
