#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A format file of another version, or a damaged one, is refused.
. "$(dirname "$0")/../common.sh" || exit 1
zc_create "$S"
mkdir "$M"
cp "$S/format" "$T/format"
# refused_as PATTERN: by all
refused_as() {
	refuses "$1" "$ZCFS" "$S" "$M"
	refuses "$1" "$ZCFS" "$S" "$M" -o ro
	refuses "$1" "$ZCCTL" info "$S"
	local status=0
	"$ZCCTL" check "$S" >"$T/check" 2>&1 || status=$?
	((status == 1 || status == 2)) || fail "check ends with $status: $(<"$T/check")"
	grep -Eqi -- "$1" "$T/check" || fail "check does not say why: $(<"$T/check")"
	cp "$T/format" "$S/format"
}
sed -i 's/^version .*/version 4711/' "$S/format"
refused_as 'store .*: format version 4711 is not supported.*; '
sed -i 's/^version .*/version x/' "$S/format"
refused_as 'store .*format is damaged.*; '
sed -i 's/^uuid ....../uuid zzzzzz/' "$S/format"
refused_as 'store .*format is damaged.*; '
: >"$S/format"
refused_as 'store: not a zcfs store.*; '
head -c 100000 /dev/zero >"$S/format"
refused_as 'store: not a zcfs store.*; '
zc_mount "$S" "$M"
ok 'and mounts when it is back'
