#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A file that is renamed over another, or an unnamed one that gets a name, is captured with the name,
# whatever its policy and without an fsync of it.
. "$(dirname "$0")/commit_lib.sh" || exit 1
fresh commit=0,policy=explicit
put_sync "$M/target" old
put "$M/source" newer
mv "$M/source" "$M/target"
py - "$M" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(fd, b"whole")
os.link(f"/proc/self/fd/{fd}", sys.argv[1] + "/named", src_dir_fd=fd, follow_symlinks=True)
END
put_sync "$M/other" x
crash commit=0,policy=explicit
content "$M/target" newer
content "$M/named" whole
[[ ! -e $M/source ]] || fail 'both names are there'
ok 'rename over a file, and link of an O_TMPFILE'

# The rename captured it, though no commit has come yet: a rollback does not take that back.
put "$M/source" 'newest of all'
mv "$M/source" "$M/target"
"$ZCCTL" rollback "$M/target"
content "$M/target" 'newest of all'
put "$M/target" changed
"$ZCCTL" rollback "$M/target"
content "$M/target" 'newest of all'
crash
content "$M/target" 'newest of all'
ok 'rollback after a rename'
