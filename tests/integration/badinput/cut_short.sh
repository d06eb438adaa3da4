#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A metadata or page file that was cut short is refused at the mount, and check says so.
. "$(dirname "$0")/../common.sh" || exit 1
need python3 tar
. "$(dirname "$0")/damage.sh" || exit 1
mkdir "$M"
make_victim
# cut FILE SIZE: must be seen by the mount and by check
cut() {
	rm -rf "$S"
	cp -a "$T/good" "$S"
	truncate -s "$2" "$S/$1"
	survives "$1 of $2 bytes"
	equal "$1 of $2 bytes: mounted" "$mounted" no
	((check_status != 0)) || fail "$1 of $2 bytes: check finds it sound"
	ok "$(<"$T/mount.err")"
	grep -q "store" "$T/mount.err" || fail 'the error does not name the store'
}
for size in 0 100 4096 8192 12288 20000; do
	cut meta/data.mdb "$size"
done
for size in 0 4095 1048576; do
	cut pages "$size"
done
for file in meta/data.mdb pages; do
	rm -rf "$S"
	cp -a "$T/good" "$S"
	rm "$S/$file"
	refuses 'store' "$ZCFS" "$S" "$M"
	[[ ! -e $S/$file ]] || fail "the mount made $file"
	status=0
	"$ZCCTL" check "$S" >"$T/check" 2>&1 || status=$?
	((status == 1 || status == 2)) || fail "check ends with $status without $file"
	grep -q "${file#*/}" "$T/check" || fail "check does not name $file: $(<"$T/check")"
done
