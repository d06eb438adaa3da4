#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The warning of -o passthrough: msync of such a mapping returns 0 and makes nothing durable; fsync of
# the descriptor does. On a default mount, and for a file that is not live, msync is a commit.
. "$(dirname "$0")/pt.sh" || exit 1

# then_crash FILE msync|fsync TEXT: store TEXT, and kill the daemon when that has returned
then_crash() {
	: >"$T/out"
	python3 "$ZC_SRC/tests/integration/passthrough/msync_warning.py" "$M/$1" "$2" "$3" >"$T/out" &
	local pid=$!
	soon 60 grep -q 'done' "$T/out"
	zc_kill "$M"
	kill -9 "$pid"
	wait "$pid" 2>/dev/null || true
	zc_check "$S"
}

fresh passthrough,commit=0
printf 'old old old' | tee "$M/live" "$M/paged" >/dev/null
live "$M/live"
zc_umount "$M"
mount_it() { zc_mount "$S" "$M" "$@"; }

mount_it passthrough,commit=0
then_crash live msync new
mount_it passthrough,commit=0
equal 'a live file after msync' "$(head -c 3 "$M/live")" old
ok 'msync of a live file returns 0 and makes nothing durable'
then_crash live fsync new
mount_it passthrough,commit=0
equal 'a live file after fsync' "$(head -c 3 "$M/live")" new
ok 'fsync of a live file makes a store through its mapping durable'
then_crash paged msync new
mount_it commit=0
equal 'another file after msync' "$(head -c 3 "$M/paged")" new
ok 'msync of another file on the same mount is a commit'
then_crash live msync def
mount_it commit=0
equal 'the file on a default mount after msync' "$(head -c 3 "$M/live")" def
ok 'msync on a default mount is a commit'
