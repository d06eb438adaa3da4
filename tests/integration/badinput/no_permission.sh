#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A store or a mount point that the user may not use is refused.
. "$(dirname "$0")/../common.sh" || exit 1
need setpriv unshare
fuse_for_users
zc_create "$S"
chmod 0700 "$S"
install -d -o 65534 -g 65534 "$T/user" "$T/user/mnt"
U=$T/user
refuses 'store: .*permission denied' as_user "$ZCFS" "$S" "$U/mnt"
refuses 'store: .*permission denied' as_user "$ZCCTL" info "$S"
refuses 'store: .*permission denied' as_user "$ZCCTL" check "$S"
refuses '/new: .*permission denied' as_user "$ZCCTL" create "$T/new"
as_user "$ZCCTL" create "$U/store" >/dev/null
mkdir -m 0700 "$M"
refuses '/mnt: .*(permission|not allowed|write access)' as_user "$ZCFS" "$U/store" "$M"
# Another user's store that can be read only
chmod -R go+rX "$S"
refuses 'store.*permission denied' as_user "$ZCFS" "$S" "$U/mnt"
zc_check "$S"
