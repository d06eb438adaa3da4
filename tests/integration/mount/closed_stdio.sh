#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Started without standard descriptors (cron, init scripts), and with options of FUSE's own: the mount
# works, the daemon rests, and it ends when asked.
. "$(dirname "$0")/../common.sh" || exit 1
zc_create "$S"
mkdir "$M"
for closed in '<&-' '>&- 2>&-' '<&- >&- 2>&-'; do
	eval "timeout 120 \"\$ZCFS\" \"\$S\" \"\$M\" $closed" || fail "mounting with $closed"
	echo text >"$M/file"
	equal 'a file' "$(<"$M/file")" text
	pid=$(zc_pid "$M")
	before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	sleep 1
	((($(awk '{ print $14 + $15 }' "/proc/$pid/stat") - before) < 50)) || fail 'the daemon spins'
	kill -TERM "$pid"
	soon 60 gone "$pid"
	zc_check "$S"
	ok "closed: $closed"
done
timeout 120 "$ZCFS" "$S" "$M" -o max_read=65536 || fail 'max_read'
equal 'a file' "$(<"$M/file")" text
zc_umount "$M"
ok 'max_read is taken, and nothing waits'
