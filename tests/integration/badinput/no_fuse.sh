#!/bin/bash
# SPDX-License-Identifier: MIT
#
# No /dev/fuse, or no permission to open it: refused, and the store is as before.
. "$(dirname "$0")/../common.sh" || exit 1
need unshare
[[ $(id -u) == 0 ]] || skip 'root alone can hide /dev/fuse'
zc_create "$S"
mkdir "$M"
# hidden CMD...: with an empty /dev
export -f zc_leave_others
hidden() {
	unshare -m --propagation private bash -c '
		zc_leave_others
		mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"' bash "$@"
}
refuses '/dev/fuse.*(modprobe|module)' hidden "$ZCFS" "$S" "$M"
zc_check "$S"
not_mounted "$M" || fail 'mounted without /dev/fuse'
