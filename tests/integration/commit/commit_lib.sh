# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# commit_lib.sh - what the tests of commits share
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh" || exit 1
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
export PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1
need python3

# put FILE TEXT: the whole content, closed, so that the daemon has it; not committed
put() {
	printf %s "$2" >"$1"
}

# put_sync FILE TEXT: the same, and committed by fsync
put_sync() {
	put "$1" "$2"
	sync "$1"
}

# content FILE TEXT: it has this content and size
content() {
	equal "content of ${1##*/}" "$(cat "$1")" "$2"
	equal "size of ${1##*/}" "$(stat -c %s "$1")" "${#2}"
}

# pending N: the daemon has N files whose data are not committed
pending() {
	[[ "$("$ZCCTL" info --json "$M" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["pending_files"])')" == "$1" ]]
}

py() {
	timeout 400 python3 "$@"
}
