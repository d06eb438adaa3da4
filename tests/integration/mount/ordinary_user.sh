#!/bin/bash
# SPDX-License-Identifier: MIT
#
# An ordinary user creates, mounts by fusermount3, uses and unmounts a store.
. "$(dirname "$0")/../common.sh" || exit 1
need fusermount3 setpriv unshare
fuse_for_users
install -d -o 65534 -g 65534 "$T/user"
U=$T/user
as_user "$ZCCTL" create "$U/store" >/dev/null
as_user mkdir "$U/mnt"
as_user timeout 120 "$ZCFS" "$U/store" "$U/mnt" 2>"$T/err" || fail "zcfs: $(<"$T/err")"
says 'user_id=65534' findmnt -n -o OPTIONS "$U/mnt" || fail 'not mounted as the user'
as_user bash -c "cd '$U/mnt' && mkdir dir && echo text >dir/file && ln -s dir link && sync dir/file"
equal 'the file' "$(as_user cat "$U/mnt/link/file")" text
equal 'its owner' "$(as_user stat -c %u:%g "$U/mnt/dir/file")" 65534:65534
if [[ -e $U/mnt/dir ]]; then
	fail 'another user can look in without allow_other'
fi
as_user "$ZCCTL" info "$U/mnt" >/dev/null
as_user "$ZCCTL" umount "$U/mnt"
not_mounted "$U/mnt" || fail 'zcctl umount left the mount'
as_user "$ZCFS" "$U/store" "$U/mnt" -o ro,nosuid,nodev
equal 'the file after a new mount' "$(as_user cat "$U/mnt/dir/file")" text
as_user fusermount3 -u "$U/mnt"
soon 60 as_user "$ZCCTL" check "$U/store"
ok 'all of it without root'
