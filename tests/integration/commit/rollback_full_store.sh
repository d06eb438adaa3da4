#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A rollback needs no space: it works when the store is full, and gives back what it drops.
. "$(dirname "$0")/commit_lib.sh" || exit 1
zc_create "$S" --size 16M
zc_mount "$S" "$M" commit=0,policy=explicit
head -c 1M /dev/zero | tr '\0' o >"$M/file"
sync "$M/file"
head -c 1M /dev/zero | tr '\0' n | dd of="$M/file" conv=notrunc status=none
dd if=/dev/zero of="$M/fill" bs=64k count=512 conv=fsync status=none 2>"$T/err" &&
	fail 'the store is not full'
grep -q 'No space left' "$T/err" || fail "$(<"$T/err")"
before=$(stat -f -c %a "$M")
"$ZCCTL" rollback "$M/file"
equal 'the file' "$(tr -d o <"$M/file" | wc -c) $(stat -c %s "$M/file")" '0 1048576'
after=$(stat -f -c %a "$M")
((after > before + 200)) || fail "free pages: $before before, $after after"
"$ZCCTL" rollback "$M/fill"
content "$M/fill" ''
put_sync "$M/more" 'there is room'
crash
equal 'the file after a crash' "$(tr -d o <"$M/file" | wc -c) $(stat -c %s "$M/file")" '0 1048576'
content "$M/more" 'there is room'
ok "free pages: $before, $after after the rollback"
