# SPDX-License-Identifier: MIT
"""Who attaches to a live file is in the daemon's log: process, user, inode, mode. So is who shows the ticket
of somebody else; and nobody can fill the log."""
import errno
import os
import signal
import subprocess
import sys

import rawlive
import zcproto
from live import *

store, path = T + "/store", T + "/mnt"
run(os.environ["ZCCTL"], "create", store)
os.mkdir(path)
with open(T + "/log", "wb") as log:
    daemon = subprocess.Popen([os.environ["ZCFS"], store, path, "-f", "-o", "policy=explicit"],
                              stdin=subprocess.DEVNULL, stderr=log)


def logged(text):
    with open(T + "/log") as f:
        return sum(text in line for line in f)


def answers():
    return subprocess.run([os.environ["ZCCTL"], "info", path], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


try:
    # (In the foreground the mount is there before the control socket.)
    soon(lambda: os.path.ismount(path) and answers())
    name = path + "/file"
    with open(name, "wb") as f:
        f.write(b"text")
    who = f"process {os.getpid()} of user {os.getuid()} asks for inode {os.stat(name).st_ino} to be live: "
    for flags, how in (os.O_RDWR, "attached, read-write"), (os.O_RDONLY, "attached, read-only"):
        equal(how, logged(who + how), 0)
        c, image = rawlive.attach(name, flags)
        os.close(image.fd)
        equal(how, logged(who + how), 1)
        c.close()
    with open(path + "/other", "wb") as f:
        f.write(b"text")
        refused(errno.EBUSY, rawlive.attach, path + "/other", os.O_RDWR)
        equal("a refusal", logged(f"inode {os.fstat(f.fileno()).st_ino} to be live: "), 1)
    ok("who attaches, how, or why not")

    fd = os.open(name, os.O_RDONLY)
    ticket, address, _ = zcproto.ticket(fd)
    child = os.fork()
    if child == 0:
        try:
            rawlive.Client(address).attach(ticket)
        except OSError as e:
            os._exit(e.errno)
        os._exit(0)
    equal("the thief", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), errno.EPERM)
    equal("his line", logged(f"process {child} of user {os.getuid()} shows a ticket of another process"), 1)
    ok("who shows the ticket of another process")

    c = rawlive.Client(address)
    for _ in range(100):
        ticket = zcproto.ticket(fd)[0]
        image = c.attach(ticket)
        os.close(image.fd)
        c.detach(image.id)
    assert logged("to be live") < 70, logged("to be live")
    equal("the last line", logged("no more of them are logged"), 1)
    ok("a flood of them is cut short")
    os.close(fd)
    c.close()
finally:
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(60)
sys.exit(daemon.returncode)
