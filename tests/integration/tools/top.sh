#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl top: rates page by page as text, a screen on a terminal; it ends as it is told, and says so when the
# daemon is gone.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
here=$(dirname "$0")
fresh
: >"$M/file"
python3 - "$M/file" <<-'END' &
	import os, sys, time
	while True:
	    os.setxattr(sys.argv[1], 'user.x', b'x')
	    time.sleep(0.001)
END
load=$!
busy() { [[ $("$ZCCTL" stats --json "$M" | python3 -c 'import json, sys
print(json.load(sys.stdin)["operations"].get("setxattr", {}).get("count", 0) > 9)') == True ]]; }
soon 60 busy
"$ZCCTL" top --batch --interval 0.5 --count 3 "$M" >"$T/pages"
equal pages "$(grep -c '^zcfs ' "$T/pages")" 3
equal 'pages with rates of the load' "$(grep -Ec '^setxattr +[0-9]*[1-9]' "$T/pages")" 3
grep -q $'\033' "$T/pages" && fail 'control characters in plain text'
"$ZCCTL" top -i 0.2 -n 1 "$M" >"$T/pages" # no terminal
equal pages "$(grep -c '^zcfs ' "$T/pages")" 1
ok 'pages of text'
kill "$load"

# Whoever reads leaves; signals
set +o pipefail
timeout 60 "$ZCCTL" top -b -i 0.1 "$M" 2>"$T/err" | head -n 1 >"$T/line"
set -o pipefail
equal lines "$(wc -l <"$T/line")" 1
for signal in INT TERM; do
	status=0
	timeout --preserve-status -s "$signal" 1 "$ZCCTL" top -b -i 0.2 "$M" >"$T/pages" || status=$?
	equal "exit status after SIG$signal" "$status" 0
done
ok 'ends when nobody reads, and by signals'

refuses 'interval' "$ZCCTL" top --interval 0 "$M"
refuses 'count' "$ZCCTL" top --count x "$M"
refuses 'no mount of zcfs' "$ZCCTL" top "$T"
for how in q int resize; do
	timeout 100 python3 "$here/top_screen.py" "$ZCCTL" "$M" "$how"
done
python3 - "$ZCCTL" "$M" <<-'END'
	import os, pty, sys
	pid, master = pty.fork()
	if pid == 0:
	    os.environ['TERM'] = 'no-such-terminal'
	    os.execv(sys.argv[1], [sys.argv[1], 'top', sys.argv[2]])
	said = b''
	while True:
	    try:
	        more = os.read(master, 4096)
	    except OSError:
	        break
	    if not more:
	        break
	    said += more
	status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
	assert status == 2 and b'no-such-terminal: not known; use --batch' in said, (status, said)
END
ok 'a terminal that is not known'

timeout 100 python3 "$here/top_screen.py" "$ZCCTL" "$M" gone "$(zc_pid "$M")"
umount -l "$M" || fusermount3 -uz "$M"
