#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A mount right after umount(8) waits for the daemon that still commits.
. "$(dirname "$0")/../common.sh" || exit 1
# (It waits for 30 s by itself, which a slow disk may need.)
options=commit=0,lock_wait=300
fresh "$options"
head -c 16M /dev/urandom >"$T/piece"
for round in 1 2 3; do
	for i in 1 2 3 4; do
		cp "$T/piece" "$M/$round.$i"
	done
	umount "$M"
	zc_mount "$S" "$M" "$options" # at once
	for i in 1 2 3 4; do
		cmp "$T/piece" "$M/$round.$i"
	done
	ok "round $round"
done
zc_umount "$M"
zc_check "$S"
