#!/bin/bash
# SPDX-License-Identifier: MIT
#
# examples/shared_counter and examples/live_table: several processes change one live file, one commits;
# clients and the daemon are killed; after a new mount the file is at its last commit, and whole.
. "$(dirname "$0")/live_lib.sh" || exit 1
rounds=${ZC_QUICK:+2}
rounds=${rounds:-5}

fresh policy=explicit,commit=0
"$COUNTER" --help | grep -q -- --processes || fail '--help does not name the options'
"$COUNTER" --processes 4 --adds 50000 --commits 2 "$M/counter" >"$T/out"
equal 'four processes have counted' "$("$COUNTER" --show "$M/counter")" '200000 200000'
equal 'the last commit had' "$(tail -n 1 "$T/out")" 200000
crash policy=explicit,commit=0
equal 'after a crash' "$("$COUNTER" --show "$M/counter")" '200000 200000'
ok 'shared_counter: nothing is lost between four processes'

for ((i = 1; i <= rounds; i++)); do
	"$COUNTER" --processes 3 --commits 100000 "$M/counter" >"$T/out" 2>"$T/err" &
	pid=$!
	soon 60 has_lines "$T/out" 5
	crash policy=explicit,commit=0
	left_alone "$pid" # (ESTALE)
	safe=$(tail -n 1 "$T/out")
	read -r total _ <<<"$("$COUNTER" --show "$M/counter")"
	((total >= safe)) || fail "round $i: the counter is $total, but $safe were committed"
done
ok "shared_counter: $rounds kills of the daemon, what was committed is there"

"$TABLE" --rows 5000 "$M/table" create
fails 1 "$TABLE" "$M/table" create
fails 1 "$TABLE" "$M/counter" check
transfers=0
for ((i = 1; i <= rounds; i++)); do
	pids=()
	for who in 1 2 3; do
		"$TABLE" --count 100000000 --every 500 --seed "$((i * 10 + who))" "$M/table" transfer \
			>"$T/out$who" 2>"$T/err" &
		pids+=($!)
	done
	soon 60 has_lines "$T/out1" 3
	soon 60 has_lines "$T/out2" 3
	# One dies with the lock, perhaps, and the others go on.
	kill -KILL "${pids[2]}"
	soon 60 has_lines "$T/out1" $(($(wc -l <"$T/out1") + 2))
	crash policy=explicit,commit=0
	left_alone "${pids[@]}"
	"$TABLE" "$M/table" check >"$T/check" || fail "round $i: $(<"$T/check")"
	read -r now _ <"$T/check"
	for who in 1 2 3; do
		safe=$(tail -n 1 "$T/out$who")
		((now >= ${safe:-0})) || fail "round $i: $now transfers, but $safe were committed"
	done
	((now > transfers)) || fail "round $i: nothing was done"
	transfers=$now
done
ok "live_table: $rounds rounds, killed clients and daemons, $transfers transfers, the sum is right"

"$TABLE" --count 1000 --every 0 --rollback "$M/table" transfer
equal 'after a rollback' "$("$TABLE" "$M/table" check)" "$transfers sound"
"$TABLE" --count 100 "$M/table" transfer >"$T/out"
crash policy=explicit,commit=0
equal 'after a commit' "$("$TABLE" "$M/table" check)" "$(<"$T/out") sound"
ok 'live_table: rollback'
