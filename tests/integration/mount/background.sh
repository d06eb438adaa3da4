#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcfs goes to the background, and the mount is usable when it returns.
. "$(dirname "$0")/../common.sh" || exit 1
zc_create "$S"
mkdir "$M"
# Its output must be closed, or a caller that reads it would wait for the daemon
out=$(timeout 120 "$ZCFS" "$S" "$M" 2>&1) || fail "exit status $?: $out"
echo text >"$M/file" # at once
equal 'a file' "$(<"$M/file")" text
equal 'messages' "$out" ''
pid=$(zc_pid "$M")
[[ $(readlink "/proc/$pid/cwd") == / ]] || fail 'the daemon keeps a working directory busy'
[[ $(ps -o sid= "$pid" | tr -d ' ') != $(ps -o sid= $$ | tr -d ' ') ]] ||
	fail 'the daemon is still of the session that started it'
ok 'in the background, with nothing of the caller'
zc_umount "$M"
soon 60 gone "$pid"

# Relative names are those of the caller
cd "$T" || exit 1
zc_mount store mnt
equal 'the file after a mount by relative names' "$(<"$M/file")" text
zc_umount mnt
"$ZCCTL" mount store mnt
equal 'the file after zcctl mount' "$(<"$M/file")" text
"$ZCCTL" umount mnt
not_mounted "$M" || fail 'zcctl umount left the mount'
ok 'relative names, zcctl mount'
