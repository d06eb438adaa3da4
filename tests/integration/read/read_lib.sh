# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the tests of the ways of a READ share: files that are awkward to read, and what the ledger tells.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
files=$(dirname "$0")/read_files.py

# stat NAME: of the ledger, also "fallbacks.NAME"
stat_of() {
	"$ZCCTL" stats --json "$M" | python3 -c '
import json, sys
value = json.load(sys.stdin)
for word in sys.argv[1].split("."):
    value = value.get(word, 0)
print(value)' "$1"
}

# ThreadSanitizer leaves no room for the mapping of a page file: then the bytes are copied.
lacks_map() {
	[[ $options != *map=off* && $(stat_of fallbacks.read_no_map) -gt 0 ]]
}

# taken NAME...: these have carried bytes
taken() {
	local name
	for name; do
		[[ $name != map ]] || ! lacks_map || name=copy
		[[ $(stat_of "read_${name}_bytes") -gt 0 ]] || fail "$options: no bytes by $name"
	done
}

# untaken NAME...: these have not
untaken() {
	local name
	for name; do
		[[ $name != copy ]] || ! lacks_map || continue
		[[ $(stat_of "read_${name}_bytes") == 0 ]] || fail "$options: bytes by $name"
	done
}

# because REASON...: these fallbacks are counted; and every byte is
because() {
	local name sum=0
	for name; do
		[[ $(stat_of "fallbacks.$name") -gt 0 ]] || fail "$options: no fallback is counted as $name"
	done
	for name in splice map copy direct memory zero; do
		((sum += $(stat_of "read_${name}_bytes"))) || true
	done
	[[ $sum == "$(stat_of read_bytes)" ]] || fail "$options: $sum bytes by some way, $(stat_of read_bytes) read"
}

# compare OPTIONS [quick]
compare() {
	options=$1
	zc_mount "$S" "$M" "$options,commit=3600" # buffers stay
	python3 "$files" check "$M" "$T/ref" "$S/pages" ${2:+"$2"} || fail "$options"
	python3 "$files" memory "$M" "$T/ref" || fail "$options, changed"
}

leave() {
	zc_umount "$M"
	zc_check "$S"
	ok "$options"
}

# make_files [arguments of zcctl create]: a store with them, and the same in $T/ref
make_files() {
	mkdir "$T/ref"
	zc_create "$S" "$@"
	zc_mount "$S" "$M"
	python3 "$files" make "$M" "$T/ref"
	zc_umount "$M"
}
