#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A store that is mounted: a second mount waits, then says so; check and a waiting mount too.
. "$(dirname "$0")/../common.sh" || exit 1
fresh
echo text >"$M/file"
mkdir "$T/second"
refuses 'store.*/store: in use' "$ZCFS" "$S" "$T/second" -o lock_wait=0
not_mounted "$T/second" || fail 'mounted twice'
refuses 'store.*/store: in use' "$ZCFS" "$S" "$T/second" -o ro,lock_wait=0
equal 'the file' "$(<"$M/file")" text
fails 2 "$ZCCTL" check "$S"
grep -q '^zcctl: .*in use' "$T/fails.err" || fail "zcctl check: $(<"$T/fails.err")"

# A mount that waits gets the store when it is free
"$ZCFS" "$S" "$T/second" -f -o lock_wait=600 2>"$T/log" &
pid=$!
soon 60 grep -q 'in use.*waiting' "$T/log"
not_mounted "$T/second" || fail 'mounted twice'
zc_umount "$M"
soon 60 is_mounted "$T/second"
equal 'the file at the second place' "$(<"$T/second/file")" text
zc_umount "$T/second"
wait "$pid"
ok 'a mount waits for the one before to end'
