#!/bin/bash
# SPDX-License-Identifier: MIT
#
# An ordinary user mounts a store and has live files on it: no part of it needs a privilege.
. "$(dirname "$0")/live_lib.sh" || exit 1
need python3 fusermount3 setpriv unshare
fuse_for_users
install -d -o 65534 -g 65534 "$T/user"
install -d "$T/py" "$T/bin"
install -m 0644 "$HERE"/*.py "$T/py/"
install -m 0755 "$ZC_BUILD/tests/integration/live/live_client" "$T/bin/"
cp "$ZC_BUILD/lib/zc/libzc.so.0" "$T/bin/"
for name in users together tracked rollback kills; do
	rm -rf "$T/user/store"
	as_user env T="$T/user" PYTHONPATH="$T/py" LIVE_CLIENT="$T/bin/live_client" \
		LD_LIBRARY_PATH="$T/bin" ZC_QUICK=1 timeout 100 python3 "$T/py/$name.py" ||
		fail "$name.py as an ordinary user: exit status $?"
	as_user timeout 60 fusermount3 -uz "$T/user/mnt" 2>/dev/null || true
done
ok 'daemon and clients without privilege'
