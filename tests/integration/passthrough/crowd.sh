#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Many opens at once of files that are not in memory yet, and commits meanwhile, with two workers: each
# gets the right bytes, none waits for ever.
. "$(dirname "$0")/pt.sh" || exit 1
fresh passthrough=all,workers=2
for i in {1..6}; do
	head -c 3000000 /dev/urandom >"$T/$i"
	cp "$T/$i" "$M/$i"
done
remount passthrough=all,workers=2
pids=()
for i in {1..6} {1..6} {1..6} {1..6}; do
	cmp "$T/$i" "$M/$i" &
	pids+=($!)
	{ sync "$M/$i" && touch "$M/new.$RANDOM" && sync "$M"; } &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || fail 'one of them failed'
done
images 0
ok '48 processes, two workers'
