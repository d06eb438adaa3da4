#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A mount point that is missing, no directory, or not allowed is refused.
. "$(dirname "$0")/../common.sh" || exit 1
zc_create "$S"
echo text >"$T/file"
refuses "/no/such: .*; |/no/such: no such" "$ZCFS" "$S" "$T/no/such"
refuses '/file: .*not a directory' "$ZCFS" "$S" "$T/file"
refuses '/no/such: ' "$ZCCTL" mount "$S" "$T/no/such"
refuses 'not.*(zcfs|mount)' "$ZCCTL" umount "$T/file"
mkdir "$M"
refuses 'not.*mount' "$ZCCTL" umount "$M"
refuses '' "$ZCCTL" umount "$T/no/such"
refuses '' "$ZCFS" "$S"
refuses '' "$ZCFS" "$S" "$M" "$T/third"
refuses '' "$ZCFS"
# The store itself
refuses 'store' "$ZCFS" "$S" "$S"
refuses 'store' "$ZCFS" "$S" "$S/meta"
zc_check "$S"
# Busy: in use as the working directory of somebody
zc_mount "$S" "$M"
(cd "$M" && exec sleep 1000) &
sleeper=$!
soon 60 test "/proc/$sleeper/cwd" -ef "$M"
refuses '/mnt: .*(busy|in use)' "$ZCCTL" umount "$M"
is_mounted "$M" || fail 'a busy mount is gone'
echo text >"$M/file"
kill "$sleeper"
wait "$sleeper" || true
zc_umount "$M"
ok 'a busy mount can be left when it is free'
