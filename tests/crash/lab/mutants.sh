#!/bin/bash
# SPDX-License-Identifier: MIT
# The laboratory can fail: engines with a fault in them, on purpose, are each found out by a bad
# image. They run the workloads; the images are looked at by the engine as it is.
# usage: mutants.sh [MUTANT...]
. "$(dirname "$0")/../../support/lib.sh" || exit 1
. "$(dirname "$0")/lab.sh" || exit 1
need cc python3

here="$(cd "$(dirname "$0")" && pwd)"
# shellcheck disable=SC2054 # commas of the linker
libs=(-Wl,--start-group "$bin/liblabworkload.a" "$ZC_BUILD/lib/store/libstore.a"
	"$ZC_BUILD/lib/util/libutil.a" -Wl,--end-group -llmdb -lisal -lsodium -lbsd -lpthread)

# The mutant's object comes first, so its archive member stays out.
build() {
	local file
	file=$(python3 "$here/mutate.py" "$ZC_SRC" "$1" "$T/$1.c") ||
		fail "the mutant $1 cannot be made: mutate.py must follow the engine"
	cc -O1 -g -fPIE -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I"$ZC_SRC/lib" \
		-c -o "$T/$1.o" "$T/$1.c" || fail "the mutant $1 of $file does not compile"
	# shellcheck disable=SC2086 # several words
	cc ${ZC_LINK_ARGS:-} -o "$T/$1" "$T/$1.o" "${libs[@]}" || fail "the mutant $1 does not link"
}

# A mutant may also fail while it runs: what it left on the disk until then counts.
found() {
	local mutant=$1 name out
	for name in single logged placed periodic unlink many rename group threads; do
		out="$fast/$name-1.rec"
		rm -f "$out"
		record "$T/$mutant" "$name" 1 >/dev/null 2>&1 || true
		rm -rf "$fast"/store.*
		[[ -s $out ]] || continue
		if ! "$bin/replay" --tmp "$fast" "$out" >"$T/out" 2>&1; then
			grep -q '^BAD' "$T/out" || fail "replay failed: $(cat "$T/out")"
			printf '%s: %s\n' "$mutant" "$(grep -m 1 '^BAD' "$T/out")"
			return 0
		fi
	done
	return 1
}

mutants=("$@")
((${#mutants[@]})) || mapfile -t mutants < <(python3 "$here/mutate.py" --list)
for mutant in "${mutants[@]}"; do
	build "$mutant"
	found "$mutant" || fail "the mutant $mutant was not found out"
done
echo "ok: ${#mutants[@]} mutants, all found out"
