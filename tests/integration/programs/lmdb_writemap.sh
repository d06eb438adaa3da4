#!/bin/bash
# SPDX-License-Identifier: MIT
#
# LMDB in WRITEMAP mode: committed transactions survive a new mount and kill -9 of the daemon.
. "$(dirname "$0")/../common.sh" || exit 1
P=$ZC_BUILD/tests/integration/test_lmdb_writemap
fresh
mkdir "$M/env"
"$P" run "$M/env" 300 >"$T/done"
equal 'transactions' "$("$P" verify "$M/env")" 300
remount
equal 'transactions after a new mount' "$("$P" verify "$M/env")" 300
ok '300 transactions, the same after a new mount'

# The daemon is killed in the middle of many more
"$P" run "$M/env" 100000 >"$T/done" 2>"$T/err" &
pid=$!
enough() { (($(wc -l <"$T/done") >= 100)); }
soon 200 enough
zc_kill "$M"
left_alone "$pid"
last=$(sed '$d' "$T/done" | tail -n 1)
zc_check "$S"
zc_mount "$S" "$M"
got=$("$P" verify "$M/env") || fail 'the environment is damaged after kill -9 of the daemon'
((got >= last)) || fail "transaction $last was acknowledged, only $got are there"
ok "sound after kill -9 of the daemon, with all transactions up to $last (shows $got)"
