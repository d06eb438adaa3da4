#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Random damage to the metadata: refused or served with errors, found by check, never a crash but by LMDB
# itself, which the daemon tells.
. "$(dirname "$0")/../common.sh" || exit 1
need python3 tar
. "$(dirname "$0")/damage.sh" || exit 1
# LMDB itself reads wildly in damaged pages: that is its nature, and a sanitizer would report it.
! says 'lib[at]san' ldd "$ZCFS" || skip 'a sanitizer sees what LMDB does with damaged pages'
mkdir "$M"
make_victim

# damage SEED: overwrite one place of the used part of data.mdb, in one of several ways
damage() {
	python3 - "$S/meta/data.mdb" "$1" <<'END'
import os, random, sys
r = random.Random(int(sys.argv[2]))
fd = os.open(sys.argv[1], os.O_RDWR)
# only pages that hold something: of a sparse file that grew ahead most are zeros
size = os.fstat(fd).st_size
pages = [p for p in range(0, size, 4096) if any(os.pread(fd, 4096, p))]
page = r.choice(pages)
way = r.randrange(4)
if way == 0:        # a flipped bit
    at = page + r.randrange(4096)
    new = bytes([os.pread(fd, 1, at)[0] ^ 1 << r.randrange(8)])
elif way == 1:      # garbage in the header of a page
    at, new = page + r.randrange(24), r.randbytes(8)
elif way == 2:      # a page of garbage
    at, new = page, r.randbytes(4096)
else:               # a page of another place
    at, new = page, os.pread(fd, 4096, r.choice(pages))
os.pwrite(fd, new, at)
print(f"seed {sys.argv[2]}: way {way}, {len(new)} bytes at {at}")
END
}
seeds=${*:-$(seq 1 12)}
for seed in $seeds; do
	rm -rf "$S"
	cp -a --sparse=always "$T/good" "$S"
	what=$(damage "$seed")
	echo "$what"
	survives "$what"
	note_result
done
tally 'damaged metadata'
((${count_1:-0} + ${count_2:-0} > 0)) || fail 'check never found anything'
((${count_died:-0} < $(wc -w <<<"$seeds"))) || fail 'the daemon never survives'

# Garbage over both meta pages of LMDB, and over everything
for range in '0 8192' '8192 100000000'; do
	read -r start length <<<"$range"
	rm -rf "$S"
	cp -a --sparse=always "$T/good" "$S"
	size=$(stat -c %s "$S/meta/data.mdb")
	((start + length <= size)) || length=$((size - start))
	((length <= 4000000)) || length=4000000
	head -c "$length" /dev/urandom |
		dd of="$S/meta/data.mdb" bs=4096 seek=$((start / 4096)) conv=notrunc status=none
	survives "garbage from $start"
	equal "mounted with garbage from $start" "$mounted" no
	((check_status != 0)) || fail "check finds garbage from $start sound"
	ok "$(<"$T/mount.err")"
done
