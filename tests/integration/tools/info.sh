#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl info of a store and of a mount, as text and JSON, agree with what is so.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
zc_create "$S" --size 64M
"$ZCCTL" info "$S" >"$T/text"
uuid=$(sed -n 's/^uuid //p' "$S/format")
grep -q "$uuid" "$T/text" || fail 'no uuid in the text'
"$ZCCTL" info --json "$S" >"$T/json"
equal uuid "$(json "$T/json" 'j["uuid"]')" "$uuid"
equal inodes "$(json "$T/json" 'j["inodes"]')" 1
equal version "$(json "$T/json" 'j["format_version"]')" 1
before=$(json "$T/json" 'j["commit"]')
ok 'a store that is not mounted'

zc_mount "$S" "$M"
for i in {1..9}; do echo x >"$M/$i"; done
head -c 4M /dev/urandom >"$M/data"
sync "$M/data"
for target in "$M" "$S"; do # the store is asked by way of its daemon
	"$ZCCTL" info "$target" >"$T/text"
	grep -q "$uuid" "$T/text" || fail 'no uuid in the text'
	"$ZCCTL" info --json "$target" >"$T/json"
	equal uuid "$(json "$T/json" 'j["uuid"]')" "$uuid"
	equal inodes "$(json "$T/json" 'j["inodes"]')" 11
	equal pid "$(json "$T/json" 'j["pid"]')" "$(zc_pid "$M")"
	(($(json "$T/json" 'j["commit"]') > before)) || fail 'the number of the commit stands still'
done
ok 'a mount'
zc_umount "$M"
"$ZCCTL" info --json "$S" >"$T/json"
equal 'inodes after the mount' "$(json "$T/json" 'j["inodes"]')" 11
refuses 'mnt: not' "$ZCCTL" info "$M"
fails 2 "$ZCCTL" info "$M"
