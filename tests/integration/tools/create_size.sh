#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl create --size and --mode: sizes with and without suffix, and what is none.
. "$(dirname "$0")/../common.sh" || exit 1
n=0
for size in 16M:16777216 16MiB:16777216 20000000:20000768 1g:1073741824 1T:1099511627776; do
	n=$((n + 1))
	zc_create "$T/$n" --size "${size%:*}"
	"$ZCCTL" info --json "$T/$n" >"$T/json"
	equal "limit of --size ${size%:*}" "$(json "$T/json" 'j["limit_bytes"]')" "${size#*:}"
done
for size in 0 -1 x 1X 1.5G '' 99999999999T 16MB; do
	refuses 'size' "$ZCCTL" create "$T/bad" --size "$size"
	[[ ! -e $T/bad ]] || fail "--size '$size' left something behind"
done
zc_create "$S" --mode 1770
zc_mount "$S" "$M"
equal 'mode of the root' "$(stat -c %a "$M")" 1770
zc_umount "$M"
refuses 'mode' "$ZCCTL" create "$T/bad" --mode 9
zc_check "$S"
ok 'sizes and modes'
