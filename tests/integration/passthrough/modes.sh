#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every pair of opens of one file - through the page cache, direct, passed through - ends in a defined
# way: the first decides, the second follows it, both see each other's bytes, and no call fails.
# (Pairs with live clients: modes_live.sh.)
. "$(dirname "$0")/pt.sh" || exit 1
pairs() { # MOUNT_OPTIONS WHAT-AN-UNMARKED-OPEN-IS
	zc_mount "$S" "$M" "$1"
	python3 "$ZC_SRC/tests/integration/passthrough/modes.py" "$M" "$ZCCTL" "$2"
	zc_umount "$M"
	zc_check "$S"
}
zc_create "$S"
mkdir "$M"
pairs passthrough,commit=0 cached
pairs passthrough,cache=none,commit=0 direct
