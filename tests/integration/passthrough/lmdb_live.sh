#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lmdb_live.sh pwrite|writemap - a live LMDB environment survives kill -9 of the daemon, again and again,
# with all transactions that were acknowledged. In its WRITEMAP mode, where it makes them durable by
# msync, libzc-preload.so turns that into commits.
. "$(dirname "$0")/pt.sh" || exit 1
if [[ $1 == writemap ]]; then
	db() { preloaded "$ZC_BUILD/tests/integration/test_lmdb_writemap" "$@"; }
else
	db() { NO_WRITEMAP=1 "$ZC_BUILD/tests/integration/test_lmdb_writemap" "$@"; }
fi
fresh passthrough,commit=1
mkdir "$M/env"
live "$M/env"
db run "$M/env" 100 >"$T/done"
equal 'transactions' "$(db verify "$M/env")" 100
remount passthrough,commit=1
equal 'transactions after a new mount' "$(db verify "$M/env")" 100
enough() { (($(wc -l <"$T/done") >= 100)); }
for round in 1 2 3; do
	: >"$T/done"
	db run "$M/env" 100000 >"$T/done" 2>"$T/err" &
	pid=$!
	soon 120 enough
	zc_kill "$M"
	left_alone "$pid"
	last=$(sed '$d' "$T/done" | tail -n 1)
	zc_check "$S"
	zc_mount "$S" "$M" passthrough,commit=1
	got=$(db verify "$M/env") || fail 'the environment is damaged after kill -9 of the daemon'
	((got >= last)) || fail "transaction $last was acknowledged, only $got are there"
	ok "round $round: sound, with all transactions up to $last (shows $got)"
done
(($(fact passthrough_opens) > 0)) || fail 'the environment was not live'
