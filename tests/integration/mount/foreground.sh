#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcfs -f stays in the foreground, serves, and ends with exit status 0.
. "$(dirname "$0")/../common.sh" || exit 1
zc_create "$S"
mkdir "$M"
for signal in TERM INT ''; do
	# (bash starts background jobs with SIGINT ignored: give it back)
	env --default-signal=INT "$ZCFS" "$S" "$M" -f >"$T/out" 2>&1 &
	pid=$!
	soon 60 is_mounted "$M"
	kill -0 "$pid" || fail 'zcfs -f left the foreground'
	echo "text $signal" >"$M/file"
	if [[ -n $signal ]]; then
		kill -s "$signal" "$pid"
	else
		zc_umount "$M"
	fi
	soon 60 not_mounted "$M"
	status=0
	wait "$pid" || status=$?
	equal "exit status after ${signal:-umount} ($(<"$T/out"))" "$status" 0
	zc_check "$S"
	zc_mount "$S" "$M"
	equal "the file after ${signal:-umount}" "$(<"$M/file")" "text $signal"
	zc_umount "$M"
	ok "foreground, ended by ${signal:-umount}"
done
