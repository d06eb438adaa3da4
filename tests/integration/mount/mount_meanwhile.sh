#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A daemon that ends late, after an ordinary unmount, leaves alone what is mounted in its place by then, also if
# the kernel has given that the same device number.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
[[ "$(id -u)" == 0 ]] || skip 'only root can unmount without the daemon'

number() {
	awk -v mnt="$M" '$5 == mnt { print $3 }' /proc/self/mountinfo
}

fresh commit=0
pid=$(zc_pid "$M")
before=$(number)
zc_stop "$pid"
# (umount(8) would look at it first.)
python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).umount2(sys.argv[1].encode(), 0))' "$M" ||
	fail 'umount2 while the daemon stands still'
zc_create "$T/other"
zc_mount "$T/other" "$M"
echo text >"$M/file"
[[ $(number) == "$before" ]] || echo "the number was not given again: $before, $(number)"
kill -CONT "$pid"
soon 60 _zc_ended "$pid"
equal 'the other file' "$(cat "$M/file")" text
zc_umount "$M"
zc_check "$S"
zc_check "$T/other"
ok 'the other mount stays'
