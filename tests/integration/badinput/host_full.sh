#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A full host disk: ENOSPC for the writer, what was synced stays, deleting makes room again.
. "$(dirname "$0")/../common.sh" || exit 1
need mkfs.ext4 python3
[[ $(id -u) == 0 ]] || skip 'a loop device needs root'
truncate -s 48M "$T/image"
mkfs.ext4 -q -O ^has_journal -m 0 "$T/image"
mkdir "$T/disk"
mount -o loop "$T/image" "$T/disk" || { [[ ${CI-} != true ]] && skip 'no loop devices'; }
S=$T/disk/store
fresh commit=1
python3 - "$M" "$T/synced" <<'END'
import errno, os, sys
os.chdir(sys.argv[1])
piece = os.urandom(1 << 20)
log = open(sys.argv[2], "w")
full = None
for i in range(200):
    try:
        with open(f"file{i}", "wb") as f:
            f.write(i.to_bytes(4, "big") + piece)
            f.flush()
            os.fsync(f.fileno())
    except OSError as e:
        full = e
        break
    print(i, file=log, flush=True)
assert full and full.errno == errno.ENOSPC, f"a full disk: {full}"
assert i > 5, f"full after {i} MiB of 48"
# Small things fail in the same way, at last
try:
    for i in range(100000):
        with open(f"small{i}", "wb") as f:
            f.write(bytes([1 + i % 200]) * 4096)
            f.flush()
            os.fsync(f.fileno())
    raise AssertionError("400 MB of small files fit on 48 MB")
except OSError as e:
    assert e.errno == errno.ENOSPC, e
with open(sys.argv[2] + ".piece", "wb") as f:
    f.write(piece)
END
ok "full after $(wc -l <"$T/synced") files of 1 MiB"
verify() {
	python3 - "$M" "$T/synced" "$1" <<'END'
import os, sys
os.chdir(sys.argv[1])
piece = open(sys.argv[2] + ".piece", "rb").read()
for line in open(sys.argv[2]):
    i = int(line)
    if i >= int(sys.argv[3]):
        assert open(f"file{i}", "rb").read() == i.to_bytes(4, "big") + piece, f"file{i}"
END
}
verify 0
crash
verify 0
ok 'everything that was synced is there, also after kill -9 of the daemon on the full disk'
rm "$M"/file[0-3] "$M"/small*
again() { cat "$T/synced.piece" >"$M/again" && sync "$M/again"; } 2>/dev/null
soon 120 again
cmp "$M/again" "$T/synced.piece"
remount
verify 4
cmp "$M/again" "$T/synced.piece"
ok 'deleting works on a full disk and makes room'
zc_umount "$M"
zc_check "$S"
soon 60 umount "$T/disk"
