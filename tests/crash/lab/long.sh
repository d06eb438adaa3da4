#!/bin/bash
# SPDX-License-Identifier: MIT
# The long run: new seeds until so many distinct crash images have been checked.
# usage: ZC_BUILD=build long.sh [IMAGES [FIRST-SEED]]
. "$(dirname "$0")/../../support/lib.sh" || exit 1
. "$(dirname "$0")/lab.sh" || exit 1

want=${1:-1000000}
seed=${2:-1000}
total=0
from=$SECONDS
while ((total < want)); do
	record_all "$bin/workload" "$seed"
	"$bin/replay" --jobs "$jobs" --tmp "$fast" --random 48 "${records[@]}" >"$T/out" || {
		cat "$T/out"
		keep_records "$T/out"
		fail "an image of seed $seed is bad"
	}
	total=$((total + $(sed -n 's/^total: .* \([0-9]*\) distinct.*/\1/p' "$T/out")))
	echo "seed $seed: $total distinct images so far, $((SECONDS - from)) s"
	rm -f "${records[@]}"
	seed=$((seed + 1))
done
echo "ok: $total distinct crash images in $((SECONDS - from)) s, none bad"
