#!/bin/bash
# SPDX-License-Identifier: MIT
#
# -o commit=1: what was written and closed survives kill -9 seconds later, without any fsync.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh commit=1
echo old >"$M/replaced"
mkdir "$M/dir"
echo text >"$M/dir/file"
echo new >"$M/other"
mv "$M/other" "$M/replaced"
periodic_commit
crash commit=1
equal 'the file' "$(<"$M/dir/file")" text
equal 'the replaced file' "$(<"$M/replaced")" new
ok 'written, closed, and there after a crash'
echo more >>"$M/dir/file"
rm "$M/replaced"
periodic_commit
crash
equal 'the file, second time' "$(paste -sd, "$M/dir/file")" text,more
[[ ! -e $M/replaced ]] || fail 'a removed file is back'
ok 'changes as well'
