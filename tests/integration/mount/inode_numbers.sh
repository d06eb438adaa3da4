#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Inode numbers and link counts stay over mounts, and are not used again.
. "$(dirname "$0")/../common.sh" || exit 1
fresh
mkdir -p "$M/a/b"
for i in {1..40}; do echo "$i" >"$M/a/$i"; done
ln "$M/a/1" "$M/a/b/hard"
ln -s x "$M/a/sym"
mkfifo "$M/a/fifo"
list() { find "$M" -printf '%i %n %P\n' | LC_ALL=C sort; }
before=$(list)
equal 'the root' "$(stat -c %i "$M")" 1
equal 'inodes of two names of a file' "$(stat -c %i "$M/a/1")" "$(stat -c %i "$M/a/b/hard")"
remount
equal 'inode numbers after a new mount' "$(list)" "$before"
last=$(cut -d ' ' -f 1 <<<"$before" | sort -n | tail -n 1)
rm -r "$M/a"
remount
echo new >"$M/new"
(($(stat -c %i "$M/new") > last)) || fail "the inode number $(stat -c %i "$M/new") is used again"
ok 'kept over mounts, never used again'
