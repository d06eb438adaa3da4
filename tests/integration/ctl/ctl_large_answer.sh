#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Answers up to 64 KiB arrive whole; a larger one becomes an error. Both under attack.
. "$(dirname "$0")/../common.sh" || exit 1
. "$(dirname "$0")/ctl_lib.sh" || exit 1
need python3 setpriv
serve large 60000
timeout 400 python3 "$(dirname "$0")/ctl_attack.py" "$socket" || fail 'the attack succeeded'
exec {input}>&-
wait "$pid" || fail "the server failed: $(<"$T/large.err")"
[[ ! -e $socket ]] || fail 'the socket is left behind'

serve huge 70000
python3 - "$socket" <<'END'
import errno, json, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
for kind, want in ((2, errno.EMSGSIZE), (1, 0)):
    s.send(struct.pack("<IHHII", 0x4354435A, 1, kind, 0, 0))
    packet = s.recv(1 << 17)
    status = struct.unpack_from("<I", packet, 12)[0]
    assert status == want, (status, want)
    json.loads(packet[16:])
END
exec {input}>&-
wait "$pid" || fail "the server failed: $(<"$T/huge.err")"
ok 'large answers'
