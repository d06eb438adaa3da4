#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl ls and stat of a store that is not mounted, as text and JSON.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh
mkdir -m 2751 "$M/dir"
echo text >"$M/dir/file"
chmod 0640 "$M/dir/file"
touch -d '2001-02-03 04:05:06.789012345' "$M/dir/file"
ln -s dir/file "$M/link"
mkfifo "$M/fifo"
: >"$M/a name"
printf x >"$M/new"$'\n'"line"
ino=$(stat -c %i "$M/dir/file")
zc_umount "$M"

"$ZCCTL" ls "$S" >"$T/text"
for name in dir link fifo 'a name'; do
	grep -q -- "$name" "$T/text" || fail "ls does not show $name"
done
equal 'lines of ls' "$(wc -l <"$T/text")" 5 # also with a name of two lines
"$ZCCTL" ls --json "$S" >"$T/json"
equal 'names of ls --json' "$(json "$T/json" 'sorted(e["path"] for e in j)')" \
	"['a name', 'dir', 'fifo', 'link', 'new\\nline']"
says file "$ZCCTL" ls "$S:/dir" || fail 'ls STORE:PATH'
equal 'ls of a file' "$("$ZCCTL" ls "$S:dir/file" | wc -l)" 1
ok 'ls'

"$ZCCTL" stat "$S:dir/file" >"$T/text"
for fact in 0640 "$ino" '2001-02-03 04:05:06.789012345'; do
	grep -q -- "$fact" "$T/text" || fail "stat does not show $fact: $(<"$T/text")"
done
"$ZCCTL" stat --json "$S:dir/file" >"$T/json"
equal 'inode' "$(json "$T/json" 'j["ino"]')" "$ino"
equal 'size' "$(json "$T/json" 'j["size"]')" 5
equal 'links' "$(json "$T/json" 'j["nlink"]')" 1
"$ZCCTL" stat --json "$S" >"$T/json"
equal 'inode of the root' "$(json "$T/json" 'j["ino"]')" 1
ok 'stat'
for verb in ls stat; do
	refuses 'no/such.*(no such|not found)' "$ZCCTL" "$verb" "$S:no/such"
	refuses 'file/x.*not a directory' "$ZCCTL" "$verb" "$S:dir/file/x"
	fails 2 "$ZCCTL" "$verb" "$S:no/such"
done
zc_mount "$S" "$M"
refuses 'store.*in use|mounted' "$ZCCTL" ls "$S"
