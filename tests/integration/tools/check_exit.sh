#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl check: 0 and its counts for a sound store, 1 and findings for damage, 2 when it can not.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh
mkdir "$M/dir"
for i in {1..20}; do echo "$i" >"$M/dir/$i"; done
head -c 1M /dev/urandom >"$M/data"
ln "$M/data" "$M/hard"
zc_umount "$M"
"$ZCCTL" check "$S" >"$T/out" 2>"$T/err" || fail "exit status $?"
grep -q sound "$T/out" || fail "no verdict: $(<"$T/out")"
"$ZCCTL" check --json "$S" >"$T/json"
equal 'sound in JSON' "$(json "$T/json" 'j["sound"]')" True
equal 'files' "$(json "$T/json" 'j["files"]')" 21
equal 'directories' "$(json "$T/json" 'j["directories"]')" 2
equal 'entries' "$(json "$T/json" 'j["entries"]')" 23
ok 'sound: exit status 0'

# A page less than the metadata speak of
cp -a "$S" "$T/damaged"
truncate -s 4096 "$T/damaged/pages"
status=0
"$ZCCTL" check "$T/damaged" >"$T/out" 2>"$T/err" || status=$?
((status == 1 || status == 2)) || fail "exit status $status for a page file cut short"
# A record that does not match its checksum: one bit of a name
cp -a "$S" "$T/bit"
python3 - "$T/bit/meta/data.mdb" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
    data = f.read()
    at = data.find(b"hard")
    assert at > 0
    while at >= 0:              # also in pages of older commits
        f.seek(at)
        f.write(b"h`rd")
        at = data.find(b"hard", at + 1)
END
fails 1 "$ZCCTL" check "$T/bit"
[[ -s $T/fails.out || -s $T/fails.err ]] || fail 'damage without a finding'
ok "a flipped bit: $(sed -n 1p "$T/fails.out" "$T/fails.err")"
status=0
"$ZCCTL" check --json "$T/bit" >"$T/json" || status=$?
equal 'exit status with --json' "$status" 1
equal 'sound in JSON' "$(json "$T/json" 'j["sound"]')" False
((0 < $(json "$T/json" 'len(j["findings"])'))) || fail 'no findings in JSON'

fails 2 "$ZCCTL" check "$T/no such store"
fails 2 "$ZCCTL" check
ok 'no store: exit status 2'
