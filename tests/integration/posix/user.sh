#!/bin/bash
# SPDX-License-Identifier: MIT
#
# user - the file system calls as an ordinary user on a mount of root.

. "$(dirname "$0")/../../support/lib.sh" || exit 1

[[ "$(id -u)" == 0 ]] || skip "only root can mount for others"

# Where the user can reach it.
install -m 0755 "$ZC_BUILD/tests/integration/posix/posix_check" "$T/posix_check"

zc_create "$T/store"
zc_mount "$T/store" "$T/mnt" allow_other
install -d -o 65534 -g 65534 -m 0755 "$T/mnt/home"
as_user "$T/posix_check" "$T/mnt/home"
[[ -z "$(ls -A "$T/mnt/home")" ]] || fail "the cases leave something behind: $(ls -A "$T/mnt/home")"

# A directory of root takes nothing from the user.
if as_user touch "$T/mnt/file" 2>/dev/null; then
	fail "an ordinary user made a file in a directory of root"
fi
zc_umount "$T/mnt"
zc_check "$T/store"
