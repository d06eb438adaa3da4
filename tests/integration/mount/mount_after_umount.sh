#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A mount right after umount(8) waits for the daemon that still commits.
. "$(dirname "$0")/../common.sh" || exit 1
fresh commit=0
head -c 16M /dev/urandom >"$T/piece"
for round in 1 2 3; do
	for i in 1 2 3 4; do
		cp "$T/piece" "$M/$round.$i"
	done
	umount "$M"
	zc_mount "$S" "$M" commit=0 # at once
	for i in 1 2 3 4; do
		cmp "$T/piece" "$M/$round.$i"
	done
	ok "round $round"
done
zc_umount "$M"
zc_check "$S"
