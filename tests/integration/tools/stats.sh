#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl stats counts what is done, says the same as text, as JSON and for Prometheus, and touches no mount.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
here=$(dirname "$0")
M="$T/m \"quoted\" \\ %s ä"
fresh
stats() { "$ZCCTL" stats "$@" "$M"; }

stats --json >"$T/before"
python3 - "$M" <<-'END'
	import os, sys
	name = sys.argv[1] + '/file'
	with open(name, 'wb') as f:
	    f.write(b'x' * 100000)
	    f.flush()
	    os.fsync(f.fileno())
	for i in range(7):
	    try:
	        os.getxattr(name, 'user.none')
	    except OSError:
	        pass
	for i in range(5):
	    os.setxattr(name, 'user.some', b'%d' % i)
	for i in range(3): # each asks the daemon: only it knows
	    os.listxattr(name)
END
stats --json >"$T/after"
# The mount is not touched by the question.
stats --json >"$T/again"
equal 'requests by asking' "$(json "$T/again" 'j["requests"]')" "$(json "$T/after" 'j["requests"]')"
python3 - "$T/before" "$T/after" <<-'END'
	import json, sys
	a, b = (json.load(open(f)) for f in sys.argv[1:])
	def more(name, what='count'):
	    return b['operations'].get(name, {}).get(what, 0) - a['operations'].get(name, {}).get(what, 0)
	assert more('setxattr') == 5, more('setxattr')
	assert more('listxattr') == 3, more('listxattr')
	assert b['errors']['ENODATA'] - a['errors'].get('ENODATA', 0) >= 7
	assert more('getxattr') >= 7 and more('create') == 1 and more('fsync') == 1
	for name, o in b['operations'].items():
	    assert o['answered'] == o['count'], (name, o)
	    assert 0 < o['max_nanoseconds'] <= o['nanoseconds'] <= b['uptime_nanoseconds'] * b['workers'] * 16, (name, o)
	assert b['requests'] == sum(o['count'] for o in b['operations'].values())
	assert b['write_bytes'] - a['write_bytes'] == 100000
	assert sum(c['count'] for c in b['commits'].values()) > sum(c['count'] for c in a['commits'].values())
	assert b['uptime_nanoseconds'] > a['uptime_nanoseconds'] and b['memory_bytes'] > 1 << 20
	assert b['cpu_user_nanoseconds'] + b['cpu_system_nanoseconds'] > 0
	# Each number is an integer, exactly.
	def walk(o):
	    for v in o.values():
	        assert isinstance(v, (int, str, dict)), o
	        if isinstance(v, dict):
	            walk(v)
	walk(b)
END
ok 'requests, errors, bytes and commits are counted, and asking is not'

answered() { # (an answer is out a moment before its time is noted)
	stats --json >"$T/json"
	[[ $(json "$T/json" 'sum(o["count"] - o["answered"] for o in j["operations"].values())') == 0 ]]
}
soon 60 answered
stats --prometheus >"$T/prometheus"
python3 "$here/prometheus_check.py" "$T/prometheus" "$T/json" "$M"

stats >"$T/text"
for word in Mount Process Path Request Commit Fallback Error setxattr ENODATA splice; do
	grep -q "^ *$word\b" "$T/text" || fail "no $word in the text: $(<"$T/text")"
done
grep -Eq '^setxattr +5 ' "$T/text" || fail 'setxattr is not 5 in the text'
ok 'the text has all parts'

refuses 'not both' "$ZCCTL" stats --json --prometheus "$M"
touch "$M/file"
refuses 'lies in the mount' "$ZCCTL" stats "$M/file"
refuses 'no mount of zcfs' "$ZCCTL" stats "$T"
fails 2 "$ZCCTL" stats "$T"
if [[ -c /dev/full ]]; then
	for how in --json --prometheus ''; do
		status=0
		stats $how 2>"$T/err" >/dev/full || status=$?
		equal 'exit status on a full disk' "$status" 2
		grep -q '^zcctl: .*No space left' "$T/err" || fail "wrong error: $(<"$T/err")"
	done
fi
zc_umount "$M"
zc_mount "$S" "$M" ro
refuses 'no daemon answers.*read-only' "$ZCCTL" stats "$M"
refuses 'no daemon answers.*read-only' "$ZCCTL" top "$M"
zc_umount "$M"
