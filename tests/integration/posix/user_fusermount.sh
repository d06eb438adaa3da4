#!/bin/bash
# SPDX-License-Identifier: MIT
#
# user_fusermount - the file system calls on the own store and mount of an ordinary user, who mounts
# by fusermount3.

. "$(dirname "$0")/../../support/lib.sh" || exit 1

need fusermount3 unshare
[[ "$(id -u)" == 0 ]] || skip "only root can become the ordinary user of the test"
[[ -c /dev/fuse ]] || fail "there is no /dev/fuse"
[[ -u "$(readlink -f "$(command -v fusermount3)")" ]] || skip "fusermount3 is not set-user-ID"

# fusermount3 opens the device with the rights of its caller. Where it is closed to users, one of our
# own lies over it, in a mount namespace that ends with this script.
if ! as_user test -r /dev/fuse -a -w /dev/fuse; then
	if [[ "${ZC_OWN_NAMESPACE:-}" != yes ]]; then
		ZC_OWN_NAMESPACE=yes unshare --mount --propagation private -- "$0"
		exit 0
	fi
	zc_leave_others
	mkdir "$T/dev"
	mount -t tmpfs -o size=64k,mode=0755 none "$T/dev"
	mknod -m 0666 "$T/dev/fuse" c 10 229
	mount --bind "$T/dev/fuse" /dev/fuse
fi

install -m 0755 "$ZC_BUILD/tests/integration/posix/posix_check" "$T/posix_check"
install -d -o 65534 -g 65534 -m 0755 "$T/home"

as_user "$ZCCTL" create "$T/home/store" >/dev/null
as_user mkdir "$T/home/mnt"
as_user timeout 300 "$ZCFS" "$T/home/store" "$T/home/mnt" </dev/null
as_user mountpoint -q "$T/home/mnt" || fail "zcfs returned, but nothing is mounted"
[[ "$(stat -c %u "/proc/$(zc_pid "$T/home/mnt")")" == 65534 ]] ||
	fail "the daemon does not run as the user who mounted"

as_user "$T/posix_check" "$T/home/mnt"

# Without allow_other it is there for nobody else, not even for root.
if ls "$T/home/mnt" >/dev/null 2>&1; then
	fail "another user can list a mount without allow_other"
fi
as_user timeout 300 "$ZCCTL" umount "$T/home/mnt"
if as_user mountpoint -q "$T/home/mnt"; then
	fail "zcctl umount returned, but it is still mounted"
fi
as_user "$ZCCTL" check "$T/home/store"
