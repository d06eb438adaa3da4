#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What -o passthrough agrees upon with the kernel, what it excludes, and who may use it.
. "$(dirname "$0")/pt.sh" || exit 1
flag() { (($(fact fuse_flags) >> $1 & 1)); }

fresh passthrough
flag 37 || fail 'PASSTHROUGH was not taken'
! flag 16 || fail 'WRITEBACK_CACHE was taken'
equal 'cache' "$(fact cache)" through
equal 'passthrough' "$(fact passthrough)" marked
ok 'flags of -o passthrough'
remount passthrough=all
equal 'passthrough' "$(fact passthrough)" all
remount
! flag 37 || fail 'PASSTHROUGH was taken by a default mount'
flag 16 || fail 'WRITEBACK_CACHE was not taken by a default mount'
equal 'passthrough' "$(fact passthrough)" off
ok 'flags of a default mount'
zc_umount "$M"

refuses 'cache=writeback and passthrough exclude each other' \
	"$ZCFS" "$S" "$M" -o passthrough,cache=writeback
refuses 'option passthrough=some: passthrough is for marked files, or all' \
	"$ZCFS" "$S" "$M" -o passthrough=some
"$ZCFS" --help | grep -q 'msync(2)' || fail '--help does not warn of msync'
ok '--help warns of msync'

chown -R 65534:65534 "$S" "$M"
user_mount() { as_user "$ZCFS" "$S" "$M" -o passthrough; }
if as_user test -w /dev/fuse && command -v fusermount3 >/dev/null; then
	refuses 'does not let this process pass files through: .*; only root may use the option' \
		user_mount
	not_mounted "$M" || fail 'it is mounted all the same'
fi
