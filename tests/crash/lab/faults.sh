#!/bin/bash
# SPDX-License-Identifier: MIT
# Every write, sync and allocation of short workloads fails once, with EIO, with ENOSPC, short, and
# for good: the store goes on or is read-only, what it has in memory is readable, and opened again it
# is sound and whole.
# usage: faults.sh [SEED...]
. "$(dirname "$0")/../../support/lib.sh" || exit 1
. "$(dirname "$0")/lab.sh" || exit 1

seeds=("$@")
((${#seeds[@]})) || seeds=(1 2)
for seed in "${seeds[@]}"; do
	for name in short shortlarge; do
		LD_PRELOAD="$preload" "$bin/faults" "$fast/store" "$name" "$seed" ||
			fail "see above; again: faults DIR $name $seed KIND CALL, under librecorder.so"
	done
done

# The power goes after such an error, too.
for fault in e4 e11 s12 e15 h17 e22 E27 s30 e33 E38 h41 e46; do
	export ZC_FAULT=$fault
	path=$(record "$bin/workload" short 1 2>"$T/log") || fail "fault $fault: $(cat "$T/log")"
	unset ZC_FAULT
	"$bin/replay" --jobs 1 --random 4 --tmp "$fast" "$path" >"$T/out" || {
		cp "$path" "$ZC_BUILD/lab-fault-$fault.rec"
		fail "after the fault $fault: $(cat "$T/out"); record: $ZC_BUILD/lab-fault-$fault.rec"
	}
	printf 'power cuts with fault %s: %s\n' "$fault" "$(tail -n 1 "$T/out")"
done
echo "ok: every call failed in turn"
