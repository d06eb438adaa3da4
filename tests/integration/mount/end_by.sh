#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each way to end a mount commits everything: what was never synced is there afterwards.
. "$(dirname "$0")/../common.sh" || exit 1
# end_by.sh umount|zcctl|helper|SIGTERM|SIGINT|SIGHUP
need python3
fresh commit=0
python3 - "$M" <<'END'
import mmap, os, sys
os.chdir(sys.argv[1])
with open("written", "wb") as f:
    f.write(b"w" * 3000001)
os.mkdir("dir")
os.symlink("../written", "dir/link")
with open("old", "wb") as f:        # replaced without a sync
    f.write(b"old")
with open("new", "wb") as f:
    f.write(b"new" * 1000)
os.rename("new", "old")
# Stored after the close: only the kernel knows these bytes
fd = os.open("mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 1 << 20)
m = mmap.mmap(fd, 0)
os.close(fd)
for i in range(0, 1 << 20, 8192):
    m[i:i + 6] = b"stored"
m.close()
END
pid=$(zc_pid "$M")
case $1 in
umount) umount "$M" ;;
zcctl) zc_umount "$M" ;;
helper) "$(dirname "$ZCCTL")/umount.fuse.zcfs" "$M" ;;
SIG*) kill -s "${1#SIG}" "$pid" ;;
esac
case $1 in
zcctl | helper) zc_check "$S" ;; # at once: the last commit is done when these return
esac
soon 60 not_mounted "$M"
soon 60 gone "$pid"
zc_check "$S"
zc_mount "$S" "$M"
python3 - "$M" <<'END'
import os, sys
os.chdir(sys.argv[1])
def content(name):
    with open(name, "rb") as f:
        return f.read()
assert content("written") == b"w" * 3000001, "a file that was written and closed"
assert content("dir/link") == b"w" * 3000001, "a directory and a link"
assert content("old") == b"new" * 1000, "a file that was replaced"
got = content("mapped")
assert len(got) == 1 << 20, "size of a mapped file"
lost = [i for i in range(0, 1 << 20, 8192) if got[i:i + 6] != b"stored"]
assert not lost, f"{len(lost)} of 128 stores through a mapping are lost"
END
ok "$1: all of it is there after the next mount"
