#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl probe: one line for each feature, with what a lack costs; JSON says the same.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
"$ZCCTL" probe >"$T/text" || fail "exit status $?"
(($(wc -l <"$T/text") >= 5)) || fail "few lines: $(<"$T/text")"
for feature in fuse splice; do
	grep -qi "$feature" "$T/text" || fail "nothing about $feature"
done
"$ZCCTL" probe --json >"$T/json"
(($(json "$T/json" 'len(j["features"])') >= 5)) || fail 'few features in JSON'
json "$T/json" '[(f["name"], f["available"]) for f in j["features"]]'
ok "$(wc -l <"$T/text") lines"
