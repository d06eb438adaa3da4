#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tar: a round trip keeps times, modes, links, xattrs and ACLs.
. "$(dirname "$0")/../common.sh" || exit 1
need tar setfacl getfacl setfattr getfattr
fresh
make_tree "$M/a"
manifest "$M/a" >"$T/a"
tar -C "$M/a" --format=posix --xattrs --acls --sparse --numeric-owner -cf "$M/tree.tar" .
mkdir "$M/b"
tar -C "$M/b" --xattrs --acls --numeric-owner -xpf "$M/tree.tar"
manifest "$M/b" >"$T/b"
diff "$T/a" "$T/b" || fail 'tar lost something'
ok 'extracted'
remount
manifest "$M/a" | diff "$T/a" - || fail 'a new mount lost something of the original'
manifest "$M/b" | diff "$T/a" - || fail 'a new mount lost something of the copy'
ok 'the same after a new mount'
tar -C "$M/b" --compare -f "$M/tree.tar"
rm -r "$M/a" "$M/b"
equal 'left in the root' "$(ls -A "$M")" tree.tar
