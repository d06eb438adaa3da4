#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is agreed upon with the kernel: the flags of INIT, and the read-ahead of the mount.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
agreed() { # WRITEBACK (0 or 1): look at the flags of the mount
	"$ZCCTL" info --json "$M" | python3 -c '
import json, sys
j = json.load(sys.stdin)
flags, offered = j["fuse_flags"], j["fuse_offered"]
names = {"ASYNC_READ": 0, "BIG_WRITES": 5, "DONT_MASK": 6, "DO_READDIRPLUS": 13, "READDIRPLUS_AUTO": 14,
         "ASYNC_DIO": 15, "PARALLEL_DIROPS": 18, "POSIX_ACL": 20, "MAX_PAGES": 22, "CACHE_SYMLINKS": 23,
         "HANDLE_KILLPRIV_V2": 28, "SETXATTR_EXT": 29, "INIT_EXT": 30}
for name, bit in names.items():
    if offered >> bit & 1:
        assert flags >> bit & 1, name + " was offered, and not taken"
for name, bit in {"POSIX_LOCKS": 1, "ATOMIC_O_TRUNC": 3, "FLOCK_LOCKS": 10}.items():
    assert not flags >> bit & 1, name + " was taken"
assert flags & ~offered == 0, "flags that were not offered"
assert flags >> 16 & 1 == int(sys.argv[1]), "WRITEBACK_CACHE"
' "$1" || fail "flags, writeback $1"
}
fresh
agreed 1
if (($(id -u) == 0)); then
	device=$(awk -v m="$M" '$5 == m { print $3 }' /proc/self/mountinfo)
	equal 'read-ahead in KiB' "$(<"/sys/class/bdi/$device/read_ahead_kb")" 2048
fi
ok 'flags and read-ahead of the default mount'
remount cache=none
agreed 0
ok 'flags without the writeback cache'
