#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A socket that a killed daemon left is taken over; one that a live daemon has is refused and kept.
. "$(dirname "$0")/../common.sh" || exit 1
. "$(dirname "$0")/ctl_lib.sh" || exit 1
need python3 setpriv
serve first
fails 1 as_user "$SERVE" "$T"
grep -q 'same uuid' "$T/fails.err" || fail "wrong error: $(<"$T/fails.err")"
[[ -S $socket ]] || fail 'the second server took the socket of the first away'
kill -0 "$pid" || fail 'the first server is gone'
ok "$(<"$T/fails.err")"
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
exec {input}>&-
[[ -S $socket ]] || fail 'a killed server left no socket: nothing is tested'
# Of other stores, too: one that nobody listens to goes, a file that is no socket stays.
other=$(dirname "$socket")/00000000-0000-4000-8000-000000000000.sock
python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' "$other"
chown 65534:65534 "$other"
[[ -S $other ]] || fail 'no socket to be swept away'
: >"$(dirname "$socket")/file"
serve second
[[ ! -e $other ]] || fail 'a socket of a daemon that is gone is left behind'
[[ -e $(dirname "$socket")/file ]] || fail 'it removed a file that is no socket'
equal 'mode of the socket' "$(stat -c %a "$socket")" 666
exec {input}>&-
wait "$pid" || fail "the server failed: $(<"$T/second.err")"
[[ ! -e $socket ]] || fail 'the socket is left behind'
ok 'a stale socket is taken over'
