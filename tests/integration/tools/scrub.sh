#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Checksums: scrub verifies every page, names damaged files and ranges; reads of them give EIO.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
zc_create "$S" --checksum
zc_mount "$S" "$M" commit=0 # each page is written once
mkdir "$M/dir"
head -c 3000000 /dev/urandom >"$M/dir/good"
head -c 3000000 /dev/zero | tr '\0' 'x' >"$M/dir/bad file"
cp "$M/dir/good" "$T/good"
zc_umount "$M"

out=$("$ZCCTL" scrub "$S") || fail "a sound store: $out"
[[ $out == "$S: sound: "* ]] || fail "text: $out"
ok "$out"
"$ZCCTL" scrub --json "$S" | python3 -c '
import json, sys
j = json.load(sys.stdin)
assert j["checksums"] is True and j["findings"] == [] and j["damaged_bytes"] == 0, j
assert j["bytes"] >= 6000000, j' || fail 'json of a sound store'

# One byte of a page that is all x
python3 - "$S/pages" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
    data = f.read()
    at = data.index(b"x" * 8192)
    at += -at % 4096
    f.seek(at + 100)
    f.write(b"y")
END
zc_check "$S" # the metadata are sound
status=0
out=$("$ZCCTL" scrub "$S") || status=$?
equal 'exit status of scrub' "$status" 1
[[ $out == *"/dir/bad file: inode "*" bytes "*": damaged (checksum)"* ]] || fail "text: $out"
[[ $out == *"$S: damaged: 1 of "*" pages"* ]] || fail "text: $out"
ok "${out%%$'\n'*}"

for options in '' cache=none; do
	zc_mount "$S" "$M" "$options"
	cmp "$M/dir/good" "$T/good" || fail 'a sound file'
	! cat "$M/dir/bad file" >/dev/null 2>"$T/err" || fail 'a damaged page was read'
	grep -qi 'input/output error' "$T/err" || fail "the error: $(<"$T/err")"
	status=0
	out=$("$ZCCTL" scrub "$M") || status=$?
	equal 'exit status of scrub, mounted' "$status" 1
	[[ $out == *"/dir/bad file: inode "*"$M: damaged: 1 of "*" pages"* ]] || fail "text: $out"
	zc_umount "$M"
done
ok 'reads of the damaged page give EIO'

# Without checksums there is nothing to compare with, and it says so
zc_create "$T/plain"
out=$("$ZCCTL" scrub "$T/plain") || fail "a store without checksums: $out"
[[ $out == *'no checksums'* ]] || fail "text: $out"
ok "$out"
