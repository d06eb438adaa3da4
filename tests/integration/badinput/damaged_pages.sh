#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Damage to the data: of other files nothing is lost, the mount and check do not crash.
. "$(dirname "$0")/../common.sh" || exit 1
need python3 tar
. "$(dirname "$0")/damage.sh" || exit 1
mkdir "$M"
make_victim
for seed in 1 2 3 4; do
	rm -rf "$S"
	cp -a "$T/good" "$S"
	python3 - "$S/pages" "$seed" <<'END'
import os, random, sys
r = random.Random(int(sys.argv[2]))
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(fd).st_size
for i in range(50):
    os.pwrite(fd, r.randbytes(1000), r.randrange(max(1, size - 1000)))
assert os.fstat(fd).st_size == size
END
	survives "data damaged with seed $seed"
	equal 'mounted (data have no checksums, metadata are sound)' "$mounted" yes
	equal 'check' "$check_status" 0
done
ok 'random bytes in the page file'
