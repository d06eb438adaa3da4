#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""top_screen.py ZCCTL MNT q|int|resize|gone [PID] - zcctl top on a terminal (a pty), and how it ends."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

zcctl, mnt, how = sys.argv[1:4]
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"  # of xterm: the other screen, and back
LIMIT = 60


def resize(rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(word):
    """Everything up to a screen that has the word; None: the end."""
    global seen
    end = time.monotonic() + LIMIT
    while word is None or word not in seen:
        assert time.monotonic() < end, (word, seen[-2000:])
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            more = os.read(master, 65536)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            assert word is None, (word, seen[-2000:])
            return
        seen += more


seen = b""
pid, master = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    time.sleep(0.2)  # until the size is set
    os.execv(zcctl, [zcctl, "top", "--interval", "0.3", mnt])
resize(40, 100)
read_until(b"Requests")
read_until(b"Longest")
attributes = None
if how == "q":
    os.write(master, b"x")  # means nothing
    os.write(master, b"q")
elif how == "int":
    os.write(master, b"\x03")  # what Ctrl-C is on a terminal
elif how == "resize":
    for rows, columns in (10, 40), (3, 10), (1, 1), (60, 200):
        seen = b""
        resize(rows, columns)
        os.kill(pid, signal.SIGWINCH)
        time.sleep(0.5)
    read_until(b"Longest")
    os.write(master, b"q")
elif how == "gone":
    os.kill(int(sys.argv[4]), signal.SIGKILL)
read_until(None)
_, status = os.waitpid(pid, 0)
assert os.WIFEXITED(status), status
code = os.WEXITSTATUS(status)
assert LEAVE in seen, "the terminal is left as it should not be"
if how == "gone":
    assert code == 2 and b"the daemon is gone" in seen.split(LEAVE)[-1], (code, seen[-500:])
else:
    assert code == 0, (code, seen[-500:])
print("ok: on a terminal,", how)
