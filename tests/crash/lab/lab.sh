# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What the scripts of the laboratory share; source it after support/lib.sh.
#
#	bin	the directory of the built programs
#	fast	a fresh directory, in memory if there is room: what is synced there costs nothing
#	jobs	how many processes check images

bin="$ZC_BUILD/tests/crash/lab"
# shellcheck disable=SC2034 # used by those who source this
jobs=$(nproc)
preload="$bin/librecorder.so"

fast="$T"
if [[ -d /dev/shm && -w /dev/shm ]] &&
	(($(df --output=avail -k /dev/shm | tail -n 1) > 200000)); then
	fast=$(mktemp -d /dev/shm/zc-lab.XXXXXX)
	# shellcheck disable=SC2154 # assigned right there
	trap 'rc=$?; rm -rf "$fast"; _zc_exit "$rc"' EXIT
fi

# record PROGRAM NAME SEED: runs a workload and prints the path of its record.
record() {
	local out="$fast/$2-$3.rec" store="$fast/store.$BASHPID"
	rm -rf "$store"
	LD_PRELOAD="$preload" timeout 600 "$1" "$2" "$3" "$store" "$out" >&2 || return 1
	rm -rf "$store"
	printf '%s\n' "$out"
}

# record_all PROGRAM SEED...: all workloads (but the ones for faults); sets `records`.
record_all() {
	local program=$1 name seed path names
	shift
	records=()
	names=$("$program" --list)
	for seed in "$@"; do
		for name in $names; do
			[[ $name == short* ]] && continue
			path=$(record "$program" "$name" "$seed") ||
				fail "the workload $name with seed $seed failed"
			records+=("$path")
		done
	done
}

# keep_records FILE: keeps the records of the bad images that a replay's output names, for one.sh.
keep_records() {
	local name seed
	mkdir -p "$ZC_BUILD/lab-bad"
	while IFS=: read -r name seed _; do
		if [[ -e $fast/$name-$seed.rec ]]; then
			cp "$fast/$name-$seed.rec" "$ZC_BUILD/lab-bad/"
			echo "record kept: $ZC_BUILD/lab-bad/$name-$seed.rec" >&2
		fi
	done < <(sed -n 's/^BAD //p' "$1")
}
