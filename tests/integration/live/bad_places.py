# SPDX-License-Identifier: MIT
"""Clients that leave descriptors with the daemon, keep their places without being attached, or hang up while their calls
go on, over and over: descriptors, places and calls stay bounded, and the others are served."""
import errno
import os
import signal
import socket
import struct
import subprocess

import rawlive
import zcproto
from live import *

MOST_ATTACHED, MOST_PASSING = 896, 64
m = Mount()
path = m / "file"
good = Client()
good.create(0, "w", 100000, path)
good.map(0, 0)
pid = m.pid()
rounds = 0


def connect():
    while True:
        try:
            return rawlive.Client(address)
        except BlockingIOError:  # for a moment the queue is full
            time.sleep(0.01)


def serves(text):
    """The good client commits, a stranger is answered."""
    global rounds
    rounds += 1
    good.put(0, 0, f"round-{rounds:04}")
    good.commit(0)
    equal("read on the mount", read(path, 0, 10), f"round-{rounds:04}")
    c = connect()
    c.ask(zcproto.PING)
    c.close()
    ok(text)


def links(name):
    found = 0
    for n in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += name in os.readlink(f"/proc/{pid}/fd/{n}")
        except FileNotFoundError:
            pass
    return found


def attached():
    fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_NONBLOCK)
    c = connect()
    image = c.attach(zcproto.ticket(fd)[0])
    os.close(fd)
    os.close(image.fd)
    return c, image


with open(path, "rb") as f:
    address = zcproto.ticket(f.fileno())[1]

# ---- descriptors
with open(T + "/unwanted", "w") as unwanted:
    for kind, count in (rawlive.STATUS, 1), (rawlive.STATUS, 2), (rawlive.TRACK, 2), (rawlive.TRACK, 3):
        c, image = attached()
        for _ in range(20):
            body = struct.pack("<QQQ", image.id, 0, 0)[:24 if kind == rawlive.TRACK else 8]
            packet = zcproto.HEADER.pack(zcproto.MAGIC, 1, kind, len(body), 0) + body
            socket.send_fds(c.socket, [packet], [unwanted.fileno()] * count)
            try:
                c.receive(kind)
            except zcproto.Refused as e:
                equal("TRACK again", e.errno, errno.EALREADY)
        c.close()
soon(lambda: links("unwanted") == 0)
serves("descriptors that nobody asked for, several in a message: none is left")

# ---- descriptors that cannot be closed: of a mount that does not answer
other, files = T + "/other", []
run(m.zcctl, "create", T + "/other-store")
os.mkdir(other)
run(os.environ["ZCFS"], T + "/other-store", other)
stopped = json.loads(run(m.zcctl, "info", "--json", other))["pid"]
for n in range(24):
    files.append(os.open(f"{other}/hanging-{n}", os.O_RDWR | os.O_CREAT))
os.kill(stopped, signal.SIGSTOP)
try:
    for fd in files:
        c, image = attached()
        equal("tracked by it", c.track(image.id, 0, 0, fd), 0)
        c.close()
    soon(lambda: links("hanging-") == 0)
    serves(f"{len(files)} descriptors that hang in close(2)")
finally:
    os.kill(stopped, signal.SIGCONT)
for fd in files:
    os.close(fd)
# (The daemon may be closing the last of them yet.)
soon(lambda: subprocess.run([m.zcctl, "umount", other], stderr=subprocess.DEVNULL).returncode == 0)

# ---- places
several = [attached() for _ in range(2 * MOST_PASSING)]
for c, image in several:
    c.detach(image.id)
serves("so many have detached and stay: some were hung up on")
stay = 0
for c, image in several:
    try:
        c.ask(rawlive.STATUS, struct.pack("<Q", image.id))
    except zcproto.Refused:
        stay += 1
    except OSError:
        pass
    c.close()
assert 0 < stay < MOST_PASSING, f"{stay} of them stay"

# ---- calls of clients that have hung up
begun = refused_ = 0
with open(m / "busy", "w") as busy:
    # (Each call waits a while for this writer.)
    fd = os.open(busy.name, os.O_RDWR | os.O_DIRECT | os.O_NONBLOCK)
    for _ in range(MOST_ATTACHED + 300):
        c = connect()
        c.send(rawlive.ATTACH, zcproto.ticket(fd)[0] + bytes(16))
        c.socket.setblocking(False)
        try:
            c.receive(rawlive.ATTACH)
        except zcproto.Refused as e:
            equal("why", e.errno, errno.EBUSY)
            refused_ += 1
        except BlockingIOError:
            begun += 1
        c.close()
    c = connect()
    text = refused(errno.EBUSY, c.ask, rawlive.ATTACH, zcproto.ticket(fd)[0] + bytes(16))
    assert "too many clients" in text, text
    c.close()
    os.close(fd)
serves(f"{begun} or fewer calls went on without their clients, the others were refused")
soon(lambda: [i["ino"] for i in m.images()] == [os.stat(path).st_ino])
c, image = attached()
c.close()
good.end()
soon(lambda: m.images() == [])
m.umount()
ok("the store is sound")
