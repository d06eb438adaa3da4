#!/bin/bash
# SPDX-License-Identifier: MIT
#
# rsync -aHAX: a round trip keeps everything, a second run finds nothing to do.
. "$(dirname "$0")/../common.sh" || exit 1
need rsync setfacl getfacl setfattr getfattr
fresh
make_tree "$M/a"
rsync -aHAXS "$M/a/" "$M/b/"
manifest "$M/a" >"$T/a"
manifest "$M/b" | diff "$T/a" - || fail 'rsync lost something'
again() { rsync -aHAXS --checksum --itemize-changes "$M/a/" "$M/b/"; }
equal 'a second run' "$(again)" ''
ok 'copied, the second run did nothing'
remount
manifest "$M/b" | diff "$T/a" - || fail 'a new mount lost something'
equal 'a run after a new mount' "$(again)" ''
echo more >>"$M/a/deep/file 7"
rm "$M/a/fifo"
rsync -aHAXS --delete --inplace "$M/a/" "$M/b/"
cmp "$M/a/deep/file 7" "$M/b/deep/file 7"
[[ ! -e $M/b/fifo ]] || fail '--delete left the FIFO'
ok 'the same after a new mount; changes follow with --inplace and --delete'
