#!/bin/bash
# SPDX-License-Identifier: MIT
# Power cuts: every disk image that a cut may leave, of all workloads with some seeds, is opened,
# checked and compared with what was acknowledged.
# usage: cuts.sh [LEAST-IMAGES [SEED...]]
. "$(dirname "$0")/../../support/lib.sh" || exit 1
. "$(dirname "$0")/lab.sh" || exit 1

least=${1:-50000}
seeds=("${@:2}")
((${#seeds[@]})) || seeds=(1 2)

# An id stands for the same image in every run: a workload of one thread is recorded the same.
path=$(record "$bin/workload" many 1)
mv "$path" "$T/first.rec"
path=$(record "$bin/workload" many 1)
cmp "$path" "$T/first.rec" || fail "two runs of one workload have different records"

echo "seeds: ${seeds[*]}"
record_all "$bin/workload" "${seeds[@]}"
rc=0
"$bin/replay" --jobs "$jobs" --tmp "$fast" "${records[@]}" | tee "$T/out" || rc=$?
if ((rc)); then
	keep_records "$T/out"
	fail "an image is bad; look at it with: tests/crash/lab/one.sh WORKLOAD:SEED:CUT:VARIANT DIR"
fi
distinct=$(sed -n 's/^total: .* \([0-9]*\) distinct.*/\1/p' "$T/out")
((distinct >= least)) || fail "only $distinct distinct images (at least $least expected)"
echo "ok: $distinct distinct crash images, none bad"
