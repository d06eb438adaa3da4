#!/bin/bash
# SPDX-License-Identifier: MIT
# SQLite on an explicit directory: the daemon and all writers are killed at random moments of a load
# of transactions; the store is sound, the database passes SQLite's own check, and every transaction
# that was acknowledged is there. Journal modes take turns, each with a database of its own.
# usage: sqlite_kill.sh ROUNDS [SEED]
. "$(dirname "$0")/../../support/lib.sh" || exit 1
. "$(dirname "$0")/../common.sh" || exit 1
need python3 setfattr getfattr
python3 -c 'import sqlite3' 2>/dev/null || fail "python3 has no sqlite3 module"

rounds=${1:?usage: sqlite_kill.sh ROUNDS [SEED]}
seed=${2:-$RANDOM}
store="$T/store" mnt="$T/mnt" dir="$T/mnt/db"
echo "seed $seed"
RANDOM=$seed

# Without a journal file left behind, only EXTRA syncs the directory: else the unlinked journal of an
# acknowledged transaction may be back after a crash and undo it, as on any filesystem.
modes=(wal:FULL delete:EXTRA truncate:FULL persist:FULL)

# load VERB MODE:SYNC [ARGUMENTS]
load() {
	local verb=$1 mode=${2%:*} sync=${2#*:}
	shift 2
	timeout 500 python3 "$(dirname "$0")/sqlite_load.py" "$verb" "$dir/$mode-$sync" "$mode" "$sync" "$@"
}

# round MODE:SYNC: a load, and the end of everybody
round() {
	local pid ms=$((RANDOM % 500))
	pid=$(zc_pid "$mnt")
	printf '%s, killed after %d ms: ' "$1" "$ms"
	load run "$1" "$T/log-$1" "$RANDOM" "$ms" "$pid" || fail "seed $seed, $1: the load failed"
	after_kill "$pid" "$mnt"
	zc_check "$store"
	zc_mount "$store" "$mnt"
}

zc_create "$store"
zc_mount "$store" "$mnt"
mkdir "$dir"
setfattr -n user.zcfs.commit -v explicit "$dir"
for mode in "${modes[@]}" wal:OFF; do
	mkdir "$T/log-$mode"
	load setup "$mode"
done
policy=$(getfattr --absolute-names --only-values -n user.zcfs.commit "$dir/wal-FULL")
[[ "$policy" == explicit ]] || fail "the database has the policy '$policy', not explicit"
sync "$dir"

for ((i = 1; i <= rounds; i++)); do
	mode=${modes[i % ${#modes[@]}]}
	printf 'round %d: ' "$i"
	round "$mode"
	load verify "$mode" "$T/log-$mode" || fail "round $i, seed $seed, $mode: not what was acknowledged"
done
for mode in "${modes[@]}"; do
	load verify "$mode" "$T/log-$mode" || fail "at the end, seed $seed, $mode: not what was acknowledged"
done

# This test can fail: a database that does not sync must be found to have lost something.
printf 'without sync: '
round wal:OFF
if load verify wal:OFF "$T/log-wal:OFF" >"$T/off" 2>&1; then
	fail "a database that never syncs lost nothing: the kill does not reach what it should"
fi
sed 's/^/as it must, /' "$T/off" | tail -n 1
zc_umount "$mnt"
zc_check "$store"
echo "ok: $rounds kills, stores and databases sound, every acknowledged transaction is there"
