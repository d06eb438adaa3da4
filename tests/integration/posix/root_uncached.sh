#!/bin/bash
# SPDX-License-Identifier: MIT
#
# root_uncached - the file system calls as root, on a mount without cache: every call is a request.

. "$(dirname "$0")/../../support/lib.sh" || exit 1

[[ "$(id -u)" == 0 ]] || skip "only root can take the part of several users"

zc_create "$T/store"
zc_mount "$T/store" "$T/mnt" cache=none,allow_other
"$ZC_BUILD/tests/integration/posix/posix_check" "$T/mnt"
[[ -z "$(ls -A "$T/mnt")" ]] || fail "the cases leave something behind: $(ls -A "$T/mnt")"
zc_umount "$T/mnt"
zc_check "$T/store"
