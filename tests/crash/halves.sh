#!/bin/bash
# SPDX-License-Identifier: MIT
# A size or truncation of file b is never committed without its data because file a was synced.
# usage: halves.sh [ROUNDS [SEED]]
. "$(dirname "$0")/../support/lib.sh" || exit 1
. "$(dirname "$0")/common.sh" || exit 1

rounds=${1:-60}
seed=${2:-$RANDOM}
store="$T/store" mnt="$T/mnt"
echo "seed $seed"

zc_create "$store"
zc_mount "$store" "$mnt" commit=3600
for ((round = 1; round <= rounds; round++)); do
	pid=$(zc_pid "$mnt")
	"$bin/halves" run "$mnt" "$T/table" $((seed * 1000 + round)) "$pid" ||
		fail "round $round, seed $seed: the run failed"
	after_kill "$pid" "$mnt"
	((round % 10)) || zc_check "$store"
	zc_mount "$store" "$mnt" commit=3600
	"$bin/halves" verify "$mnt" "$T/table" || fail "round $round, seed $seed: half a state"
done
zc_umount "$mnt"
zc_check "$store"
echo "ok: $rounds crashes, no size without its data"
