#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Commits of several files at once, beside commits of each of them and of another file: none waits for
# ever, and after a crash all that was committed is there.
. "$(dirname "$0")/pt.sh" || exit 1
export PYTHONPATH="$PYTHONPATH:$ZC_SRC/tests/integration/commit"
fresh passthrough=all,policy=explicit,commit=0
timeout -k 5 150 python3 - "$M" <<'P' >"$T/committed" || fail 'a commit failed, or did not end'
import os, sys, threading, zcproto
ROUNDS, PAGES = 150, 1024
fds = {name: os.open(f'{sys.argv[1]}/{name}', os.O_RDWR | os.O_CREAT, 0o600) for name in 'abc'}
for fd in fds.values():
    os.ftruncate(fd, PAGES * 4096)
errors = []


def run(function):
    def repeat():
        try:
            for n in range(ROUNDS):
                function(n)
        except BaseException as e:
            errors.append(repr(e))
            raise
    thread = threading.Thread(target=repeat)
    thread.start()
    return thread


def several(n):
    tickets = [zcproto.ticket(fds[name]) for name in 'ba']
    for name in 'ab':
        os.pwrite(fds[name], b'%8d' % n, 0)
    c = zcproto.Client(tickets[0][1])
    c.commit(*[one[0] for one in tickets])
    c.close()


def one(fd):
    def function(n):
        os.pwrite(fd, b'%8d' % n, (1 + n) * 4096)
        os.fsync(fd)
    return function


threads = [run(several)] + [run(one(fd)) for fd in fds.values()]
for thread in threads:
    thread.join()
assert not errors, errors
for name, fd in fds.items():
    print(name, *[os.pread(fd, 8, at * 4096).decode().strip('\0 ') or '-' for at in range(ROUNDS + 1)])
P
crash passthrough=all,policy=explicit,commit=0
while read -r name words; do
	equal "$name after the crash" "$(python3 - "$M/$name" <<'P'
import sys
with open(sys.argv[1], 'rb') as f:
    print(*[(f.seek(at * 4096), f.read(8))[1].decode().strip('\0 ') or '-' for at in range(151)])
P
	)" "$words"
done <"$T/committed"
ok 'commits of two files beside those of each of them'
