#!/bin/bash
# SPDX-License-Identifier: MIT
# A3 when the kernel could not write back: the rename fails with that error, the old file stays.
. "$(dirname "$0")/../support/lib.sh" || exit 1

need python3
zc_create "$T/store" --size 64M
zc_mount "$T/store" "$T/mnt"
python3 - "$T/mnt" <<'END' || fail 'the rename'
import errno, os, sys
os.chdir(sys.argv[1])
with open("target", "wb") as f:
    f.write(b"old" * 1000)
    f.flush()
    os.fsync(f.fileno())
fd = os.open("tmp", os.O_RDWR | os.O_CREAT)
full = False
try:
    for _ in range(80):
        os.write(fd, b"n" * (1 << 20))
except OSError as e:
    assert e.errno == errno.ENOSPC, e
    full = True
os.sync()
if not full: # no call has told it so far
    try:
        os.rename("tmp", "target")
    except OSError as e:
        print("rename:", e)
    else:
        sys.exit("a file that lost data replaced another")
END
zc_kill "$T/mnt"
zc_check "$T/store"
zc_mount "$T/store" "$T/mnt"
[[ $(head -c 6 "$T/mnt/target") == oldold && $(stat -c %s "$T/mnt/target") == 3000 ]] ||
	fail 'the old content is gone'
echo 'ok: the old file stayed'
