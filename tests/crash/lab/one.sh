#!/bin/bash
# SPDX-License-Identifier: MIT
# One image again, by its id: says what is wrong with it and keeps it.
# usage: ZC_BUILD=build one.sh WORKLOAD:SEED:CUT:VARIANT [DIR [WORKLOAD-PROGRAM]]
. "$(dirname "$0")/../../support/lib.sh" || exit 1
. "$(dirname "$0")/lab.sh" || exit 1

id=${1:?usage: one.sh WORKLOAD:SEED:CUT:VARIANT [DIR]}
IFS=: read -r name seed _ <<<"$id"
# The threads of a workload run differently every time: then the record that was kept is needed.
path="$ZC_BUILD/lab-bad/$name-$seed.rec"
if [[ -n ${3:-} || ! -e $path ]]; then
	# Also what a workload that failed has left counts.
	path=$(record "${3:-$bin/workload}" "$name" "$seed") || path="$fast/$name-$seed.rec"
	[[ -s $path ]] || fail "the workload left no record"
fi
"$bin/replay" --tmp "$fast" --random 10000 --id "$id" ${2:+--keep "$2"} "$path"
