# SPDX-License-Identifier: MIT
"""Ordinary users: a daemon and clients without privilege; and clients of another user than the daemon's,
with the permission of the file."""
import atexit
import errno
import os
import shutil
import subprocess

from live import *

if os.geteuid() == 0:
    m = Mount("allow_other", "policy=explicit", "commit=0")
    mine = m / "mine"
    a = Client()
    a.create(0, "w", 10000, mine)
    a.map(0, 0)
    a.put(0, 0, "root")
    a.commit(0)
    os.chmod(mine, 0o644)
    os.mkdir(m / "his")
    os.chown(m / "his", 65534, 65534)
    # (The build directory may be out of his reach.)
    shutil.copy2(PROGRAM, T + "/live_client")
    shutil.copytree(os.environ["ZC_BUILD"] + "/lib/zc", T + "/zc", dirs_exist_ok=True,
                    ignore=lambda d, names: [n for n in names if ".so" not in n])
    b = Client.__new__(Client)
    b.process = subprocess.Popen([T + "/live_client"], stdin=subprocess.PIPE, text=True,
                                 stdout=subprocess.PIPE, user=65534, group=65534, extra_groups=[],
                                 env=os.environ | {"LD_LIBRARY_PATH": T + "/zc"})
    atexit.register(b.leave)
    refused(errno.EACCES, b.open, 0, "w", mine)
    b.open(0, "r", mine)
    b.map(0, 0)
    equal("another user reads", b.get(0, 0, 4), "root")
    a.put(0, 0, "live")
    equal("at once", b.get(0, 0, 4), "live")
    refused(errno.EACCES, b.resize, 0, 1)
    b.commit(0)
    b.create(1, "w", 20000, m / "his/file")
    b.map(1, 0)
    print("another user's client is", "tracked" if b.status(1)[2] & TRACKED else "not tracked")
    b.put(1, 5000, "nobody")
    b.commit(1)
    a.open(1, "w", m / "his/file")
    a.map(1, 0)
    a.put(1, 9000, "by-root")
    equal("both ways", b.get(1, 9000, 7), "by-root")
    b.commit(1)
    b.put(1, 5000, "losing")
    m.crash("allow_other", "policy=explicit", "commit=0")
    equal("a reader's commit", read(mine, 0, 4), "live")
    equal("after a crash", read(m / "his/file", 5000, 6), "nobody")
    equal("after a crash", read(m / "his/file", 9000, 7), "by-root")
    ok("by permission of the file")
else:
    m = Mount()
    a = Client()
    a.create(0, "w", 10000, m / "file")
    a.map(0, 0)
    a.put(0, 0, "mine")
    a.commit(0)
    m.crash()
    equal("after a crash", read(m / "file", 0, 4), "mine")
    ok("a daemon and a client without privilege")
