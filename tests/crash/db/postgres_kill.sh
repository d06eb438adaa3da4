#!/bin/bash
# SPDX-License-Identifier: MIT
# PostgreSQL on an explicit directory: the daemon and all of the server's processes are killed at
# random moments under load; the store is sound, the server recovers, its own checkers find nothing,
# and every transaction that was acknowledged is there. WAL sync methods take turns.
# usage: postgres_kill.sh ROUNDS [SEED]
. "$(dirname "$0")/../../support/lib.sh" || exit 1
. "$(dirname "$0")/../common.sh" || exit 1
. "$(dirname "$0")/postgres_lib.sh" || exit 1

rounds=${1:?usage: postgres_kill.sh ROUNDS [SEED]}
seed=${2:-$RANDOM}
store="$T/store" mnt="$T/mnt"
echo "seed $seed"
RANDOM=$seed
methods=(fdatasync open_datasync fsync open_sync)

zc_create "$store"
zc_mount "$store" "$mnt" allow_other,default_permissions
pg_prepare "$mnt/data"

# round OPTIONS...: load on a server with these options, and the end of everybody
round() {
	local ms=$((RANDOM % 1500)) daemon
	daemon=$(zc_pid "$mnt")
	pg_start "$@" || fail "seed $seed: the server does not start: $(tail -n 5 "$T/pg.log")"
	pg_load_start "$RANDOM"
	sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
	pg_alive || fail "seed $seed: the server has ended by itself: $(tail -n 5 "$T/pg.log")"
	kill -KILL "$daemon" "$pg_init"
	pg_killed
	after_kill "$daemon" "$mnt"
	printf '%s, killed after %d ms, %s transactions acknowledged so far\n' "$*" "$ms" "$(pg_acked_sum)"
	zc_check "$store"
	zc_mount "$store" "$mnt" allow_other,default_permissions
}

# What a crash left, by the server's own checkers and by ours
recovered() {
	pg_start && pg_verify && pg_stop && pg_checksums
}

for ((i = 1; i <= rounds; i++)); do
	method=${methods[i % ${#methods[@]}]}
	printf 'round %d: ' "$i"
	round -c wal_sync_method="$method"
	recovered || fail "round $i, seed $seed, $method: not what was acknowledged"
done

# This test can fail: a server that does not sync must be found to have lost something.
printf 'without sync: '
round -c fsync=off
if recovered >"$T/off" 2>&1; then
	fail "a server that never syncs lost nothing: the kill does not reach what it should"
fi
pg_abort
sed 's/^/as it must, /' "$T/off" | tail -n 1
zc_umount "$mnt"
zc_check "$store"
echo "ok: $rounds kills, stores and clusters sound, every acknowledged transaction is there"
