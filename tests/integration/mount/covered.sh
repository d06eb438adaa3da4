#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A mount on top of ours is not what a signal to the daemon unmounts.
. "$(dirname "$0")/../common.sh" || exit 1
(($(id -u) == 0)) || skip 'only root can mount a tmpfs'
zc_create "$S"
mkdir "$M"
"$ZCFS" "$S" "$M" -f 2>"$T/log" &
pid=$!
soon 60 is_mounted "$M"
echo below >"$M/below"
mount -t tmpfs none "$M"
echo above >"$M/above"
kill -TERM "$pid"
soon 60 grep -q 'covered by another mount' "$T/log"
equal 'the file above' "$(<"$M/above")" above
kill -0 "$pid" || fail 'the daemon ended'
umount "$M"
equal 'the file below' "$(<"$M/below")" below
kill -TERM "$pid"
soon 60 not_mounted "$M"
wait "$pid" || fail "exit status $? ($(<"$T/log"))"
zc_check "$S"
ok 'the mount above stayed, and ours ended when asked again'

# Detached while a file is open, and something else at its place: it ends when asked
mount -t tmpfs none "$M"
zc_mount "$S" "$M"
pid=$(zc_pid "$M")
exec {held}<"$M/below"
umount -l "$M"
kill -TERM "$pid"
soon 60 gone "$pid"
exec {held}<&-
umount "$M"
zc_check "$S"
ok 'a detached mount ends when asked'
