#!/bin/bash
# SPDX-License-Identifier: MIT
#
# statfs(2): block size, sizes, inodes and the longest name.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
zc_create "$S" --size 64M
zc_mount "$S" "$M"
facts() {
	python3 - "$M" <<'END'
import os, sys
s = os.statvfs(sys.argv[1])
assert s.f_namemax == 255, f"namemax {s.f_namemax}"
assert s.f_frsize == 4096, f"frsize {s.f_frsize}"
assert s.f_bavail <= s.f_bfree <= s.f_blocks, s
assert 0.8 * (64 << 20) <= s.f_blocks * s.f_frsize <= 64 << 20, f"blocks {s.f_blocks}"
assert 0 < s.f_favail <= s.f_ffree < s.f_files, s
print(s.f_bfree, s.f_files - s.f_ffree)
END
}
read -r free inodes < <(facts)
for i in {1..50}; do : >"$M/$i"; done
head -c 8M /dev/zero | tr '\0' x >"$M/data"
sync "$M/data"
read -r free2 inodes2 < <(facts)
equal 'inodes used by 51 files' $((inodes2 - inodes)) 51
((free - free2 >= 2048 && free - free2 <= 2048 + 512)) || fail "8 MiB took $((free - free2)) pages"
long=$(printf 'n%.0s' {1..255})
: >"$M/$long"
! : 2>/dev/null >"$M/${long}n" || fail 'a name of 256 bytes'
ok 'statfs tells what is so'
zc_umount "$M"
zc_mount "$S" "$M" ro
read -r free3 inodes3 < <(facts)
equal 'inodes after a new mount' "$inodes3" $((inodes2 + 1))
((free3 >= free2 - 64 && free3 <= free2 + 64)) || fail "$free3 pages free, $free2 before"
ok 'the same after a new mount'
