#!/bin/bash
# SPDX-License-Identifier: MIT
# The daemon is killed while all that asks the kernel for dirty data waits in the kernel: nobody hangs.
# usage: delivering.sh ROUNDS
. "$(dirname "$0")/../support/lib.sh" || exit 1
. "$(dirname "$0")/common.sh" || exit 1

need python3
zc_create "$T/store"
for ((round = 1; round <= ${1:-3}; round++)); do
	zc_mount "$T/store" "$T/mnt"
	pid=$(zc_pid "$T/mnt")
	timeout 400 python3 - "$T/mnt" "$pid" <<'END' || fail "round $round: a process hangs"
import os, sys, time
kids = []
for i in range(12):
    kid = os.fork()
    if kid == 0:
        fd = os.open(f"{sys.argv[1]}/f{i}", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            while True:
                for k in range(64):
                    os.pwrite(fd, b"x", k * 16384)
                os.lseek(fd, 0, os.SEEK_DATA)
        except OSError:
            os._exit(0)
    kids.append(kid)
time.sleep(1)
os.kill(int(sys.argv[2]), 9)
end = time.monotonic() + 240
while kids and time.monotonic() < end:
    kids = [k for k in kids if os.waitpid(k, os.WNOHANG)[0] == 0]
    time.sleep(0.05)
sys.exit(1 if kids else 0)
END
	after_kill "$pid" "$T/mnt"
	zc_check "$T/store"
done
echo "ok: ${1:-3} kills, nobody waits for ever"
