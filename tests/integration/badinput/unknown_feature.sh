#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Unknown feature bits: incompat refuses, ro_compat allows -o ro, compat changes nothing.
. "$(dirname "$0")/../common.sh" || exit 1
P=$ZC_BUILD/tests/integration/test_set_feature
mkdir "$M"
for word in incompat ro_compat compat; do
	zc_create "$T/$word"
	zc_mount "$T/$word" "$M"
	echo text >"$M/file"
	zc_umount "$M"
	"$P" "$T/$word" "$word"
done
refuses 'store .*incompat.*0x80*[;)]' "$ZCFS" "$T/incompat" "$M"
refuses 'store .*incompat' "$ZCFS" "$T/incompat" "$M" -o ro
refuses 'store .*incompat' "$ZCCTL" ls "$T/incompat"
fails 2 "$ZCCTL" check "$T/incompat"
refuses 'store .*ro_compat.*-o ro' "$ZCFS" "$T/ro_compat" "$M"
zc_mount "$T/ro_compat" "$M" ro
equal 'a file of a store with an unknown ro_compat feature' "$(<"$M/file")" text
zc_umount "$M"
ok 'ro_compat: mounted read-only'
zc_mount "$T/compat" "$M"
echo more >>"$M/file"
zc_umount "$M"
zc_mount "$T/compat" "$M"
equal 'a file of a store with an unknown compat feature' "$(paste -sd, "$M/file")" text,more
zc_umount "$M"
says '0x8|9223372036854775808' "$ZCCTL" info --json "$T/compat" ||
	fail 'info does not show the feature, or a mount dropped it'
ok 'compat: used as ever, and kept'
