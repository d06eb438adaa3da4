#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Another user than the daemon's commits what he can open and rolls back what he can write; the facts
# of the mount are not for him.
. "$(dirname "$0")/commit_lib.sh" || exit 1
[[ $(id -u) == 0 ]] || skip 'needs root'
fresh allow_other,commit=0,policy=explicit
user() { # CMD...: as nobody, who can read this library
	as_user env PYTHONPATH="$T" timeout 300 "$@"
}
cp "$HERE/zcproto.py" "$T/"
put_sync "$M/mine" old
chmod 644 "$M/mine"
put_sync "$M/his" old
chown 65534 "$M/his"
put_sync "$M/shared" old
chmod 666 "$M/shared"
put_sync "$M/secret" old
chmod 600 "$M/secret"
for f in mine his shared secret; do
	put "$M/$f" newer
done
user "$ZCCTL" commit "$M/mine"
refuses 'Permission denied' user "$ZCCTL" commit "$M/secret"
refuses 'Permission denied' user "$ZCCTL" rollback "$M/mine"
user "$ZCCTL" rollback "$M/his"
content "$M/his" old
user "$ZCCTL" rollback "$M/shared" 2>"$T/err"
grep -q 'only its owner' "$T/err" || fail "nothing about the time: $(<"$T/err")"
content "$M/shared" old
put "$M/his" newest
user "$ZCCTL" policy "$M/his" auto
equal 'the policy' "$("$ZCCTL" policy "$M/his")" auto
refuses 'not permitted|denied' user "$ZCCTL" policy "$M/mine" auto
ok 'by permission of the files'

user python3 - "$M" <<'END'
import errno, os, sys, time
import zcproto as z
fd = os.open(sys.argv[1] + "/shared", os.O_RDWR)
path = z.ticket(fd)[1]
for kind in z.PING, z.INFO:
    print(z.refused(errno.EACCES, z.Client(path).ask, kind))
# One user has a share of the places only. (Who is silent for 5 s loses his to the next.)
start = time.monotonic()
clients = [z.Client(path) for i in range(40)]
served, seconds = 0, 0
for c in clients:
    try:
        c.commit(z.ticket(fd)[0])
        served += 1
        seconds = time.monotonic() - start
    except OSError as e:
        assert e.errno in (errno.EBUSY, errno.EPIPE, errno.ECONNRESET), e
assert 0 < served < 40 and (served <= 16 or seconds > 4), f"{served} clients of one user"
END
"$ZCCTL" info "$M" >/dev/null
ok 'no facts, and a share of the places'
crash
content "$M/mine" newer
content "$M/secret" old
content "$M/shared" old
