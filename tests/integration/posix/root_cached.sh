#!/bin/bash
# SPDX-License-Identifier: MIT
#
# root_cached - the file system calls as root, on a mount with the page cache of the kernel.

. "$(dirname "$0")/../../support/lib.sh" || exit 1

[[ "$(id -u)" == 0 ]] || skip "only root can take the part of several users"

zc_create "$T/store"
zc_mount "$T/store" "$T/mnt" allow_other
"$ZC_BUILD/tests/integration/posix/posix_check" "$T/mnt"
[[ -z "$(ls -A "$T/mnt")" ]] || fail "the cases leave something behind: $(ls -A "$T/mnt")"
zc_umount "$T/mnt"
zc_check "$T/store"
