#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A full store: writes to a live file succeed, fsync says ENOSPC, the last commit stays, in a crash too;
# when there is room again the next fsync takes everything.
. "$(dirname "$0")/pt.sh" || exit 1
zc_create "$S" --size 24M
zc_mount "$S" "$M" passthrough=all,policy=explicit,commit=1
head -c 4000000 /dev/zero | tr '\0' a >"$M/file"
head -c 9000000 /dev/urandom >"$M/other"
sync "$M/file" "$M/other"
images 0
python3 - "$M/file" <<'P'
import errno, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(fd, b'b' * 4000000, 0)
os.pwrite(fd, b'c' * 20000000, 4000000)
for _ in range(3):
    try:
        os.fsync(fd)
        raise SystemExit('fsync of what has no room succeeds')
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
    time.sleep(1.2)     # (other commits come between)
assert os.pread(fd, 3, 3999998) == b'bbc', 'the memory has other bytes'
P
ok 'fsync says ENOSPC'
crash passthrough=all,policy=explicit,commit=1
equal 'size after the crash' "$(stat -c %s "$M/file")" 4000000
equal 'bytes after the crash' "$(tr -d a <"$M/file" | wc -c)" 0
ok 'after a crash the file is at its last commit, whole'
python3 - "$M" <<'P'
import errno, os, sys
fd = os.open(sys.argv[1] + '/file', os.O_RDWR)
os.pwrite(fd, b'b' * 14000000, 0)
try:
    os.fsync(fd)
    raise SystemExit('fsync of what has no room succeeds')
except OSError as e:
    assert e.errno == errno.ENOSPC, e
os.unlink(sys.argv[1] + '/other')
dir = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(dir)
os.fsync(fd)
P
crash passthrough=all,policy=explicit,commit=1
equal 'size after the crash' "$(stat -c %s "$M/file")" 14000000
equal 'bytes after the crash' "$(tr -d b <"$M/file" | wc -c)" 0
ok 'with room the next fsync takes all'
