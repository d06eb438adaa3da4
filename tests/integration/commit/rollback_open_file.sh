#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl rollback returns a file that other processes have open and mapped to its last commit: bytes by
# read and through their mappings, size, mtime; changed in place, grown, and cut.
. "$(dirname "$0")/commit_lib.sh" || exit 1
zc_create "$S"
for cache in writeback none; do
	for policy in explicit auto; do
		zc_mount "$S" "$M" "commit=0,policy=$policy,cache=$cache"
		py "$HERE/rollback_open_file.py" "$M/file" "$ZCCTL"
		crash commit=0
		equal 'content after a crash' "$(head -c 5 "$M/file")" again
		rm "$M/file"
		zc_umount "$M"
		zc_check "$S"
		ok "cache=$cache, $policy"
	done
done
