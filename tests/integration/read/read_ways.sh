#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What was written is what is read, whichever way the bytes take: holes, fragments, buffered pages, parts
# of pages, the end of the file; and the ledger names the way.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
files=$(dirname "$0")/read_files.py

count() {
	"$ZCCTL" info --json "$M" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# taken NAME...: these have carried bytes; others WANTED must not
taken() {
	local name
	for name; do
		[[ $(count "read_${name}_bytes") -gt 0 ]] || fail "$options: no bytes by $name"
	done
}

untaken() {
	local name
	for name; do
		[[ $(count "read_${name}_bytes") == 0 ]] || fail "$options: bytes by $name"
	done
}

# compare OPTIONS [more files in memory]
compare() {
	options=$1
	zc_mount "$S" "$M" "$options"
	python3 "$files" check "$M" "$T/ref" "$S/pages" || fail "$options"
	python3 "$files" memory "$M" "$T/ref" || fail "$options, changed"
}

leave() {
	zc_umount "$M"
	zc_check "$S"
	ok "$options"
}

mkdir "$T/ref"
fresh
python3 "$files" make "$M" "$T/ref"
zc_umount "$M"

compare read=map
taken map zero memory
untaken splice copy direct
leave
compare read=copy
taken copy zero memory
untaken splice map direct
leave
compare read=splice
taken splice zero memory
untaken copy
leave
compare read=auto
taken map direct zero memory
untaken splice copy
leave
