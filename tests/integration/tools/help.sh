#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl --help, --help of each verb, --version; a wrong use names the help.
. "$(dirname "$0")/../common.sh" || exit 1
"$ZCCTL" --help >"$T/help"
verbs='create mount umount commit rollback policy info stats top ls stat check probe'
for verb in $verbs; do
	grep -Eq "^ +$verb " "$T/help" || fail "zcctl --help does not name $verb"
	"$ZCCTL" "$verb" --help >"$T/verb" 2>"$T/err" || fail "zcctl $verb --help: exit status $?"
	grep -q "^Usage: zcctl $verb" "$T/verb" || fail "zcctl $verb --help: $(head -n 1 "$T/verb")"
	[[ ! -s $T/err ]] || fail "zcctl $verb --help writes on stderr"
	refuses "^zcctl( $verb)?: " "$ZCCTL" "$verb" --no-such-option
	fails 2 "$ZCCTL" "$verb" --no-such-option
	if [[ $verb != probe ]]; then
		refuses "^zcctl( $verb)?: " "$ZCCTL" "$verb"
	fi
done
for verb in commit rollback policy info stats ls stat check probe; do
	says --json "$ZCCTL" "$verb" --help || fail "zcctl $verb --help does not name --json"
done
says '^zcctl [0-9]+\.[0-9]+' "$ZCCTL" --version || fail '--version'
refuses 'verb' "$ZCCTL"
refuses 'dance' "$ZCCTL" dance
fails 2 "$ZCCTL" dance
ok "help of: $verbs"
