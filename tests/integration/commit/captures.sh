#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What captures a file, for both policies, as a kill -9 of the daemon shows it: fsync and writes with
# O_SYNC do, the periodic commit only files of policy auto, another file's fsync neither, closing
# neither, sync(2) and syncfs(2) no explicit one, a clean unmount all.
. "$(dirname "$0")/commit_lib.sh" || exit 1
E=$M/e A=$M/a

both() { # committed "old", then "newer" in the daemon
	put_sync "$E" old
	put_sync "$A" old
	put "$E" newer
	put "$A" newer
}

zc_create "$S"
zc_mount "$S" "$M" commit=0
: >"$E"
: >"$A"
"$ZCCTL" policy "$E" explicit

both
sync "$E" "$A"
crash commit=0
content "$E" newer
content "$A" newer
ok 'fsync captures'

both
printf again | dd of="$E" oflag=sync status=none
printf again | dd of="$A" oflag=dsync status=none
crash commit=0
content "$E" again
content "$A" again
ok 'O_SYNC and O_DSYNC capture'

both
put_sync "$M/other" x
crash commit=0
content "$E" old
content "$A" old
content "$M/other" x
ok 'closing does not capture, nor does the fsync of another file'

both
sync
sync -f "$M"
crash commit=0
content "$E" old
ok 'sync and syncfs do not capture an explicit file'

both
remount commit=1
content "$E" newer
content "$A" newer
ok 'a clean unmount captures'

both
put "$A" newest
periodic_commit
soon 60 pending 1 # the explicit one
crash commit=0
content "$E" old
content "$A" newest
ok 'the periodic commit captures auto, not explicit'
