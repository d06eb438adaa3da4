#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A reader of the output that leaves, and a full disk under it, are errors without a crash.
. "$(dirname "$0")/../common.sh" || exit 1
fresh
for i in {1..3000}; do : >"$M/a file with a long name, number $i"; done
zc_umount "$M"
[[ -c /dev/full ]] || skip 'there is no /dev/full'
status=0
"$ZCCTL" ls "$S" 2>"$T/err" >/dev/full || status=$?
equal 'exit status of ls on a full disk' "$status" 2
grep -q '^zcctl: .*No space left' "$T/err" || fail "wrong error: $(<"$T/err")"
set +o pipefail
"$ZCCTL" ls "$S" 2>/dev/null | head -n 1 >"$T/line"
set -o pipefail
equal 'lines' "$(wc -l <"$T/line")" 1
ok 'ls into a full disk, and into a pipe that is closed'
