#!/bin/bash
# SPDX-License-Identifier: MIT
# check-layers.sh - does every part include only what docs/ARCHITECTURE.md lets it use?
#
#   lib/abi    nothing of ours
#   lib/util   libc
#   lib/store  abi, util, LMDB - the LMDB header in one file
#   lib/live   the store's store.h, util
#   lib/zc     abi, util
#   fs         the store's store.h, live.h, abi, util, libfuse
#   tools      the store's store.h, libzc's map.h and link.h, abi, util
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
# Lines "file:line:header" of all #include directives below the folders named.
includes() {
	local dirs=() dir
	for dir in "$@"; do
		[[ ! -d "$dir" ]] || dirs+=("$dir")
	done
	((${#dirs[@]})) || return 0
	grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' "${dirs[@]}" |
		sed -E 's/^([^:]*:[0-9]+):[^<"]*[<"]([^>"]*)[>"].*/\1:\2/' || true
}

# forbid TEXT REGEX DIR...: headers that match may not appear there.
forbid() {
	local text="$1" regex="$2" found
	shift 2
	found="$(includes "$@" | awk -F: -v re="$regex" '$3 ~ re')"
	[[ -n "$found" ]] || return 0
	printf '%s\n' "$found" | sed "s/^/  /" >&2
	echo "check-layers.sh: $text" >&2
	status=1
}

ours='^(abi|util|store|live|zc|fs|tools)/'
forbid 'lib/abi includes nothing of ours' "$ours|^zc_" lib/abi
forbid 'lib/util includes only itself and libc' '^(abi|store|live|zc|fs|tools)/|^zc_|store\.h$' \
	lib/util
forbid 'lib/store includes only abi and util of ours' '^(live|zc|fs|tools)/|\.\./' lib/store
forbid 'lib/zc includes only abi and util of ours' '^(store|live|fs|tools)/|\.\./' lib/zc
forbid 'lib/live includes only store and util of ours' '^(abi|zc|fs|tools)/|\.\./' lib/live
forbid 'examples include only what is installed' '^(abi|util|store|live|fs|tools)/|\.\./' examples
forbid 'tools know nothing of the parts of fs' '^fs/|\.\./' tools
forbid 'fs knows nothing of the parts of tools' '^tools/|\.\./' fs

# The LMDB header: exactly one file of the engine. Tests that bring damage about may use it too.
forbid 'only the engine includes lmdb.h' '^lmdb\.h$' lib/abi lib/util fs tools examples
users="$(includes lib/store | awk -F: '$3 == "lmdb.h" { print $1 }' | sort -u)"
if [[ "$(grep -c . <<<"$users" || true)" -gt 1 ]]; then
	printf '%s\n' "$users" | sed 's/^/  /' >&2
	echo 'check-layers.sh: more than one file of lib/store includes lmdb.h' >&2
	status=1
fi

forbid 'only fs includes libfuse' '^(fuse3?/)?fuse(_[a-z]+)?\.h$|^cuse' lib tools examples

# Of the engine, others see store.h alone.
# (Unit tests look inside.)
found="$(includes fs tools examples tests/integration tests/model tests/crash tests/bench |
	awk -F: '($3 ~ /^store\// && $3 != "store/store.h") || $3 ~ /(store|live)_i\.h$/')"
if [[ -n "$found" ]]; then
	printf '%s\n' "$found" | sed 's/^/  /' >&2
	echo 'check-layers.sh: of lib/store, others include store/store.h only' >&2
	status=1
fi
exit "$status"
