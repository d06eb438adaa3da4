#!/bin/bash
# SPDX-License-Identifier: MIT
# The daemon is killed at random moments under load, many times on one store: every mount works at
# once, check is sound before it, and everything acknowledged is there, each file whole.
# usage: kill.sh ROUNDS [SEED]
. "$(dirname "$0")/../support/lib.sh" || exit 1
. "$(dirname "$0")/common.sh" || exit 1

rounds=${1:?usage: kill.sh ROUNDS [SEED]}
seed=${2:-$RANDOM}
store="$T/store" mnt="$T/mnt"
echo "seed $seed"
RANDOM=$seed

zc_create "$store"
for ((round = 1; round <= rounds; round++)); do
	ms=$((5 + RANDOM % 56))
	# Only what was asked for is captured: a periodic commit may take a file between two writes.
	zc_mount "$store" "$mnt" commit=3600
	if ((round == 1)); then
		mkdir "$mnt/load"
		sync "$mnt" "$mnt/load"
	else
		"$bin/load" verify "$mnt/load" "$T/table" ||
			fail "round $((round - 1)), seed $seed: not what was acknowledged"
	fi
	pid=$(zc_pid "$mnt")
	printf 'round %d: killed after %d ms: ' "$round" "$ms"
	"$bin/load" run "$mnt/load" "$T/table" $((seed * 1000 + round)) "$ms" "$pid" ||
		fail "round $round, seed $seed, killed after $ms ms: the load failed"
	after_kill "$pid" "$mnt"
	((round % 5)) || zc_check "$store"
done
zc_mount "$store" "$mnt"
"$bin/load" verify "$mnt/load" "$T/table" || fail "round $rounds, seed $seed: not what was acknowledged"
zc_umount "$mnt"
zc_check "$store"
echo "ok: $rounds kills, all mounted at once, stores sound, everything acknowledged is there"
