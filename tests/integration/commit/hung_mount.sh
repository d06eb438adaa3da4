#!/bin/bash
# SPDX-License-Identifier: MIT
#
# commit, rollback and policy on a mount whose daemon does not answer end after --timeout.
. "$(dirname "$0")/commit_lib.sh" || exit 1
fresh
put "$M/file" text
pid=$(zc_pid "$M")
zc_stop "$pid"
for verb in commit rollback policy; do
	begin=$SECONDS
	refuses 'no answer within 2 s|does not answer within 2 s' \
		"$ZCCTL" "$verb" --timeout 2 "$M/file"
	((SECONDS - begin < 100)) || fail "$verb took $((SECONDS - begin)) s"
done
kill -CONT "$pid"
soon 120 "$ZCCTL" commit "$M/file"
content "$M/file" text
ok 'and it works again when the daemon goes on'
