#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is no store is refused by every program, with a line that says what and what to do.
. "$(dirname "$0")/../common.sh" || exit 1
mkdir "$M" "$T/empty" "$T/full" "$T/garbage"
echo text >"$T/full/something"
echo text >"$T/file"
head -c 5000 /dev/urandom >"$T/garbage/format"
for thing in missing empty full garbage file; do
	refuses "/$thing: .*(store|director|no such)" "$ZCFS" "$T/$thing" "$M"
	not_mounted "$M" || fail "mounted $thing"
	for verb in info ls stat check; do
		refuses "/$thing.*: " "$ZCCTL" "$verb" "$T/$thing"
	done
	fails 2 "$ZCCTL" check "$T/$thing"
	refuses "/$thing: " "$ZCCTL" mount "$T/$thing" "$M"
done
refuses 'not empty' "$ZCCTL" create "$T/full"
refuses 'file: ' "$ZCCTL" create "$T/file"
refuses 'no/such' "$ZCCTL" create "$T/no/such"
equal 'left of a refused create' "$(ls "$T/full")" something
zc_create "$S"
refuses 'already a store' "$ZCCTL" create "$S"
zc_check "$S"
ok 'a store is never overwritten'
