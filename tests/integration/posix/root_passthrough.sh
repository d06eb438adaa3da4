#!/bin/bash
# SPDX-License-Identifier: MIT
#
# root_passthrough - the file system calls as root, where every file that is opened is memory that the
# kernel reads and writes without the daemon.

. "$(dirname "$0")/../../support/lib.sh" || exit 1

[[ "$(id -u)" == 0 ]] || skip "only root can pass files through"

zc_create "$T/store"
zc_mount "$T/store" "$T/mnt" passthrough=all,allow_other
"$ZC_BUILD/tests/integration/posix/posix_check" "$T/mnt"
[[ -z "$(ls -A "$T/mnt")" ]] || fail "the cases leave something behind: $(ls -A "$T/mnt")"
zc_umount "$T/mnt"
zc_check "$T/store"
