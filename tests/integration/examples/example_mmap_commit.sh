#!/bin/bash
# SPDX-License-Identifier: MIT
#
# examples/mmap_commit: killed half-way between two commits, the file shows the one before.
. "$(dirname "$0")/../common.sh" || exit 1
P=$ZC_BUILD/examples/mmap_commit

says --stop-before-commit "$P" --help || fail '--help does not name the options'
# Nothing but the program's own commits may capture the file
fresh commit=0

stopped() { [[ $(awk '{ print $3 }' "/proc/$1/stat") == T ]]; }

# cut_before N: the daemon is killed when half of the words of the Nth commit are stored
cut_before() {
	"$P" --stop-before-commit "$1" "$M/file" >"$T/out" 2>"$T/err" &
	local pid=$!
	soon 60 stopped "$pid"
	zc_kill "$M" # first: an ending program's mapping would still be written back
	kill -KILL "$pid"
	wait "$pid" || true
	zc_check "$S"
	zc_mount "$S" "$M" commit=0
}

"$P" "$M/file" >"$T/out"
equal 'the first commit' "$(<"$T/out")" 1
cut_before 1
equal 'the version after a crash in the second' "$("$P" --show "$M/file")" 1
cut_before 4
equal 'commits before the crash' "$(paste -sd, "$T/out")" 2,3,4
equal 'the version after a crash in the fifth' "$("$P" --show "$M/file")" 4
ok 'a crash between two commits shows the first of them, whole'

"$P" --commits 3 "$M/file" >"$T/out"
equal 'commits after the crash' "$(paste -sd, "$T/out")" 5,6,7
remount
equal 'the version after a new mount' "$("$P" --show "$M/file")" 7

# A stopped program that goes on commits as if nothing had happened
"$P" --stop-before-commit 1 "$M/file" >"$T/out" 2>/dev/null &
soon 60 stopped $!
kill -CONT $!
wait $! || fail 'a program that was stopped and continued fails'
equal 'the version after a stop' "$("$P" --show "$M/file")" 8

fails 1 "$P" "$M/no/file"
grep -q '^mmap_commit: .*no/file: open: No such file' "$T/fails.err" || fail 'a wrong error'
echo text >"$M/other"
fails 1 "$P" "$M/other"
printf 'x' | dd of="$M/file" bs=1 seek=5000 conv=notrunc status=none
fails 3 "$P" --show "$M/file"
ok 'errors and a mixture of versions are told'
