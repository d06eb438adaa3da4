#!/bin/bash
# SPDX-License-Identifier: MIT
#
# git: clone, fsck, gc, a clean status also after a new mount, and a commit.
. "$(dirname "$0")/../common.sh" || exit 1
need git
export HOME=$T GIT_CONFIG_NOSYSTEM=1
git config --global user.name zcfs
git config --global user.email zcfs@example.org
git config --global core.fsync all
git config --global gc.auto 0 # nothing goes on behind our back

# 300 commits, each of which changes one of 200 files and adds one
awk 'BEGIN {
	for (i = 1; i <= 300; i++) {
		print "commit refs/heads/main\ncommitter zcfs <zcfs@example.org> " 1600000000 + i " +0000"
		print "data <<END\ncommit " i "\nEND"
		print "M 100644 inline old/" i % 200 "\ndata <<END"
		for (j = 0; j < 50; j++) print i, j, i * j * 7919
		print "END"
		print "M 100644 inline new/" i % 7 "/" i "\ndata <<END\n" i "\nEND"
	}
	print "M 100755 inline run.sh\ndata <<END\n#!/bin/sh\nEND"
	print "M 120000 inline link\ndata 6\nrun.sh\n"
}' >"$T/stream"
git init -q --bare -b main "$T/origin.git"
git -C "$T/origin.git" fast-import --quiet <"$T/stream"

fresh
G=$M/clone
git clone -q --no-local "$T/origin.git" "$G"
check_clone() {
	git -C "$G" fsck --full --strict --no-progress
	equal 'git status' "$(git -C "$G" status --porcelain)" ''
	equal commits "$(git -C "$G" rev-list --count HEAD)" "$1"
	ok "$2"
}
check_clone 300 'cloned, fsck and status are clean'
git -C "$G" repack -q -a -d -f
git -C "$G" gc -q --prune=now --aggressive
check_clone 300 'repack and gc'

echo change >>"$G/old/5"
git -C "$G" rm -q new/1/1
git -C "$G" commit -q -a -m 'a commit on the mount'
git -C "$G" checkout -q -b side HEAD~100
git -C "$G" checkout -q main
git -C "$G" push -q origin main
remount
check_clone 301 'clean after a new mount'
git clone -q "$T/origin.git" "$T/host"
diff -r --exclude=.git "$T/host" "$G" || fail 'the work trees differ'
ok 'the same work tree as a clone on the host'
