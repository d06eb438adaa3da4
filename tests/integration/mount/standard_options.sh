#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The standard options of mounts, with and without effect, and those that are none.
. "$(dirname "$0")/../common.sh" || exit 1
zc_create "$S"
field() { findmnt -n -o "$1" "$M"; }
zc_mount "$S" "$M" fsname=a_name,noatime,nosuid,nodev,noexec
equal 'source' "$(field SOURCE)" a_name
for option in noatime nosuid nodev noexec; do
	[[ ,$(field OPTIONS), == *",$option,"* ]] || fail "$option is not among $(field OPTIONS)"
done
zc_umount "$M"
zc_mount "$S" "$M"
equal 'source when none is given' "$(field SOURCE)" "$S"
equal 'type' "$(field FSTYPE)" fuse.zcfs
zc_umount "$M"
if [[ $(id -u) == 0 ]]; then
	zc_mount "$S" "$M" allow_other,default_permissions
	chmod 0711 "$M"
	echo text >"$M/open"
	echo text >"$M/closed"
	chmod 0600 "$M/closed"
	equal 'a file of another user' "$(as_user cat "$M/open")" text
	! as_user cat "$M/closed" 2>/dev/null || fail 'modes are not observed'
	! as_user touch "$M/new" 2>/dev/null || fail 'modes of directories are not observed'
	zc_umount "$M"
	ok 'allow_other keeps to the modes'
fi
for options in cache=none cache=writeback workers=1 commit=0,workers=2; do
	zc_mount "$S" "$M" "$options"
	echo "$options" >"$M/options"
	zc_umount "$M"
	zc_mount "$S" "$M"
	equal "written with $options" "$(<"$M/options")" "$options"
	zc_umount "$M"
done
ok 'options of zcfs'
refuses 'no_such_option' "$ZCFS" "$S" "$M" -o no_such_option
refuses 'cache=' "$ZCFS" "$S" "$M" -o cache=some
refuses 'commit=' "$ZCFS" "$S" "$M" -o commit=never
refuses 'workers=' "$ZCFS" "$S" "$M" -o workers=0
not_mounted "$M" || fail 'mounted in spite of a wrong option'
says 'commit=' "$ZCFS" --help || fail '--help does not list the options'
says 'zcfs.* [0-9]+\.[0-9]+' "$ZCFS" --version || fail '--version does not tell the version'
