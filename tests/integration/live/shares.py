# SPDX-License-Identifier: MIT
"""Of live_limit a user other than root and the daemon's has half; what is left serves the others."""
import errno
import os
import sys

import rawlive
from live import *

MIB = 1 << 20
if os.geteuid() != 0:
    print("SKIP: only root can be several users")
    sys.exit(77)
m = Mount("allow_other", "policy=explicit", "commit=0", "live_limit=96M")
for name in "abcd":
    with open(m / name, "wb") as f:
        f.write(b"text")
    os.chmod(m / name, 0o666)


def as_user(uid, function):
    """In a process of this user: what `function` gives, a number below 100."""
    child = os.fork()
    if child == 0:
        status = 100
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            status = function()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fills():
    """Takes what it can get, and lets another user try."""
    held = [rawlive.attach(m / "a", os.O_RDWR), rawlive.attach(m / "b", os.O_RDWR, 32 * MIB)]
    text = refused(errno.ENOSPC, rawlive.attach, m / "c", os.O_RDWR)
    assert "this user" in text and "live_limit" in text, text
    # What is live already is everybody's.
    held.append(rawlive.attach(m / "a", os.O_RDONLY))
    os.write(told[1], b"x")
    os.read(go[0], 1)
    return len(held)


def takes_the_rest():
    rawlive.attach(m / "c", os.O_RDWR, 40 * MIB)
    return 7


told, go = os.pipe(), os.pipe()
other = os.fork()
if other == 0:
    os._exit(as_user(65533, fills))
os.read(told[0], 1)
equal("used", m.info()["live_used_bytes"], 48 * MIB)
equal("another user", as_user(65534, takes_the_rest), 7)
soon(lambda: m.info()["live_used_bytes"] == 48 * MIB)
c, image = rawlive.attach(m / "d", os.O_RDWR, 48 * MIB)
ok("a user has half, others the rest")
os.write(go[1], b"x")
equal("the first user", os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]), 3)
soon(lambda: m.info()["live_used_bytes"] == 48 * MIB)
os.close(image.fd)
c.close()
soon(lambda: m.info()["live_used_bytes"] == 0)
m.umount()
ok("and gives it back")
