#!/bin/bash
# SPDX-License-Identifier: MIT
#
# While one process commits a mapped file another one stores to it: what the last commit kept of each
# page is of some moment between its call and its return.
. "$(dirname "$0")/commit_lib.sh" || exit 1
fresh commit=1,policy=explicit
py - "$M/file" "$T/seen" <<'END'
import ctypes, json, mmap, os, signal, sys, time
path, seen = sys.argv[1:]
PAGES = 32
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
os.ftruncate(fd, PAGES * 4096)
m = mmap.mmap(fd, PAGES * 4096)
cells = [ctypes.c_uint64.from_buffer(m, page * 4096) for page in range(PAGES)]
parent = os.getpid()
pid = os.fork()
if pid == 0:
    while os.getppid() == parent:
        for cell in cells:
            cell.value += 1
    os._exit(0)
while cells[-1].value == 0:
    time.sleep(0.01)
# On a busy machine the other process may not run during a commit: the last one has to be one that it saw.
start = time.monotonic()
i = 0
while time.monotonic() < start + 120:
    before = [cell.value for cell in cells]
    m.flush()
    after = [cell.value for cell in cells]
    i += 1
    if i >= 20 and after != before:
        break
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
assert after != before, "nobody stored meanwhile: nothing is tested"
with open(seen, "w") as f:
    json.dump([before, after], f)
END
crash
py - "$M/file" "$T/seen" <<'END'
import json, struct, sys
before, after = json.load(open(sys.argv[2]))
data = open(sys.argv[1], "rb").read()
assert len(data) == len(before) * 4096
for page, (low, high) in enumerate(zip(before, after)):
    value = struct.unpack_from("<Q", data, page * 4096)[0]
    assert low <= value <= high, f"page {page}: {value} is not from {low} to {high}"
END
ok 'each page is of a moment during the commit'
