#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl commit A B C commits all three; without it a crash shows none of the new contents.
. "$(dirname "$0")/commit_lib.sh" || exit 1
zc_create "$S"
for cache in writeback none; do
	zc_mount "$S" "$M" "commit=1,policy=explicit,cache=$cache"
	for f in a b c; do
		put_sync "$M/$f" old
		put "$M/$f" "newer $f"
	done
	crash "commit=1,policy=explicit,cache=$cache"
	for f in a b c; do
		content "$M/$f" old
		put "$M/$f" "newest $f"
	done
	"$ZCCTL" commit --json "$M/a" "$M/b" "$M/c" >"$T/json"
	equal 'files in JSON' "$(json "$T/json" 'len(j["committed"])')" 3
	crash "commit=1,policy=explicit,cache=$cache"
	for f in a b c; do
		content "$M/$f" "newest $f"
	done
	ok "cache=$cache: none, then all"

	# What a program that has the files open has not closed yet is in the commit, too.
	py - "$M" "$ZCCTL" <<'END'
import os, subprocess, sys
fds = [os.open(f"{sys.argv[1]}/{n}", os.O_RDWR) for n in "ab"]
for fd in fds:
    os.pwrite(fd, b"OPEN", 0)
subprocess.run([sys.argv[2], "commit", sys.argv[1] + "/a", sys.argv[1] + "/b"], check=True)
END
	put "$M/c" lost
	crash "commit=1,policy=explicit,cache=$cache"
	content "$M/a" 'OPENst a'
	content "$M/b" 'OPENst b'
	content "$M/c" 'newest c'
	ok "cache=$cache: files open for writing; a file that is not named is not in it"
	zc_umount "$M"
done

zc_mount "$S" "$M"
zc_create "$T/store2"
zc_mount "$T/store2" "$T/mnt2"
: >"$T/mnt2/x"
refuses 'another mount' "$ZCCTL" commit "$M/a" "$T/mnt2/x"
refuses 'mounted zcfs' "$ZCCTL" commit "$T/json"
refuses 'regular file' "$ZCCTL" commit "$M"
refuses 'No such file' "$ZCCTL" commit "$M/a" "$M/none"
remount ro
refuses 'read-only' "$ZCCTL" commit "$M/a"
ok 'refused: two mounts, another filesystem, a directory, a read-only mount'

# As many as a message takes, and one more.
remount commit=1,policy=explicit
names=()
for i in {1..255}; do
	names+=("$M/n$i")
	put "$M/n$i" "$i"
done
"$ZCCTL" commit "${names[@]}"
refuses '256 files are too many' "$ZCCTL" commit "${names[@]}" "$M/a"
crash
for i in {1..255}; do
	content "$M/n$i" "$i"
done
ok '255 files at once'
