#!/bin/bash
# SPDX-License-Identifier: MIT
# Random operations on a mount against a reference in memory, with remounts between.
# usage: run.sh [-o MOUNTOPTS] [-n OPS] SEED...
. "$(dirname "$0")/../support/lib.sh" || exit 1

MODEL="$ZC_BUILD/tests/model/model"
opts=
ops=40000
while getopts o:n: o; do
	case "$o" in
	o) opts=$OPTARG ;;
	n) ops=$OPTARG ;;
	*) fail "usage: run.sh [-o MOUNTOPTS] [-n OPS] SEED..." ;;
	esac
done
shift $((OPTIND - 1))
(($#)) || fail "no seed given"

args=()
case ",$opts," in
*,cache=none,*) args+=(--allow-no-mmap) ;;
esac

for seed; do
	store="$T/store.$seed" mnt="$T/mnt.$seed"
	zc_create "$store"
	zc_mount "$store" "$mnt" "$opts"
	mkdir "$mnt/model"
	# The remount is a command of its own, so that a replay needs no more than this line.
	# shellcheck disable=SC2016
	again="'$ZCCTL' umount '$mnt' && '$ZCFS' '$store' '$mnt'${opts:+ -o '$opts'}"
	"$MODEL" "$mnt/model" -s "$seed" -n "$ops" --remount "$again" "${args[@]}" || {
		echo "the same run from a fresh store: $0${opts:+ -o $opts} -n $ops $seed" >&2
		fail "model: seed $seed"
	}
	zc_umount "$mnt"
	zc_check "$store"
done
echo "ok: $ops operations for each of the seeds $*${opts:+ with -o $opts}, stores sound"
