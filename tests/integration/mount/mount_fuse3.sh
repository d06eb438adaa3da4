#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mount.fuse3 and mount(8) with the syntax of fstab mount a store.
. "$(dirname "$0")/../common.sh" || exit 1
need mount.fuse3
[[ $(id -u) == 0 ]] || skip 'mount(8) is for root'
zc_create "$S"
mkdir "$M"
PATH=$(dirname "$ZCFS"):$PATH mount.fuse3 "$S" "$M" -t zcfs -o rw,noatime,nosuid,nodev,commit=3
equal 'type of the mount' "$(findmnt -n -o FSTYPE "$M")" fuse.zcfs
options=,$(findmnt -n -o OPTIONS "$M"),
for option in rw noatime nosuid nodev; do
	[[ $options == *",$option,"* ]] || fail "$option is not among the options $options"
done
echo text >"$M/file"
pid=$(zc_pid "$M")
umount "$M"
soon 60 gone "$pid"
ok 'mounted with options'
# Words that fstab may hold are no errors
# (mount(8) looks for programs in the system's directories only, so name it by its path)
mount -t fuse -o defaults,noauto,nofail,_netdev,ro "$ZCFS#$S" "$M" 2>"$T/err" ||
	fail "words of fstab: $(<"$T/err")"
equal 'the file' "$(<"$M/file")" text
! touch "$M/file" 2>/dev/null || fail '-o ro was lost on the way'
zc_umount "$M"
ok 'mounted read-only'
