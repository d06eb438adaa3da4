#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Tickets that are made up, used before, somebody else's, too old, or of a read-only handle are
# refused, and so is what is no message; the daemon goes on.
. "$(dirname "$0")/commit_lib.sh" || exit 1
fresh commit=0,policy=explicit
put_sync "$M/file" old
put "$M/file" newer
mkdir "$M/dir"
py - "$M" <<'END'
import errno as e, os, struct, sys, time
import zcproto as z
mnt = sys.argv[1]
rw = os.open(mnt + "/file", os.O_RDWR)
ro = os.open(mnt + "/file", os.O_RDONLY)
late = z.ticket(rw)[0]
start = time.monotonic()

one, c = z.client(ro)
assert z.ticket(ro)[2] == 0 and z.ticket(rw)[2] == 1
z.refused(e.ESTALE, c.commit, os.urandom(16))
z.refused(e.ESTALE, c.commit, bytes(16))
print(z.refused(e.EACCES, c.begin, one))
z.refused(e.ESTALE, c.begin, one)   # used up by that
one = z.ticket(rw)[0]
c.commit(one)
print(z.refused(e.ESTALE, c.commit, one))
z.refused(e.ESTALE, c.begin, one)
one = z.ticket(ro)[0]
z.refused(e.ESTALE, c.commit, one, one)

# A ticket of another process
one, two = z.ticket(rw)[0], z.ticket(rw)[0]
pid = os.fork()
if pid == 0:
    other = z.client(rw)[1]
    try:
        print(z.refused(e.EPERM, other.commit, one), flush=True)
        z.refused(e.EPERM, other.begin, two)
    except BaseException as x:
        print(x, file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
c = z.Client(z.ticket(rw)[1])       # (it hangs up on who is silent for 5 s)
c.commit(one, two)                  # not used up by that

# What is no message
for kind, body in ((z.COMMIT, b""), (z.COMMIT, struct.pack("<II", 2, 0) + os.urandom(16)),
                   (z.COMMIT, struct.pack("<II", 0, 0)), (z.COMMIT, struct.pack("<II", 2**32 - 1, 0)),
                   (z.COMMIT, struct.pack("<II", 1, 7) + os.urandom(16)),
                   (z.BEGIN, os.urandom(15)), (z.BEGIN, b""), (z.END, b"x")):
    z.refused(e.EBADMSG, c.ask, kind, body)
z.refused(e.EINVAL, c.end, 1)
number = c.begin(z.ticket(rw)[0])[0]
z.refused(e.EINVAL, c.end, number + 1)
z.refused(e.EINVAL, z.client(rw)[1].end, number)    # of another connection
os.ftruncate(rw, 5)
c.end(number)
c.ask(z.PING)

# Clients that leave before their answer, in a commit or a rollback, harm nobody.
for i in range(50):
    one, gone = z.client(rw)
    os.pwrite(rw, b"%d" % i, 0)
    if i % 2:
        gone.send(z.COMMIT, struct.pack("<II", 1, 0) + one)
    else:
        gone.send(z.BEGIN, one)
    gone.close()
for i in range(1200):               # the last rollback ends by itself
    one, c = z.client(rw)
    try:
        number, size, mtime = c.begin(one)
        break
    except OSError as x:
        assert x.errno == e.EBUSY, x
        time.sleep(0.1)
os.ftruncate(rw, size)
c.end(number)

# A directory and a file that is no zcfs have none.
for path, error in (mnt + "/dir", e.EISDIR), ("/proc/self/exe", e.ENOTTY):
    fd = os.open(path, os.O_RDONLY)
    z.refused(error, z.ticket, fd)

# A file without a name can be committed, a file that is gone cannot.
os.unlink(mnt + "/file")
c.commit(z.ticket(rw)[0])
one = z.ticket(ro)[0]
os.close(rw)
os.close(ro)
for i in range(10):                 # RELEASE and FORGET come when the kernel likes
    time.sleep(0.05)
    fd = os.open(mnt + "/next", os.O_RDWR | os.O_CREAT)
    os.close(fd)
fd = os.open(mnt + "/next", os.O_RDWR)
try:
    z.client(fd)[1].commit(one)
except OSError as x:
    assert x.errno == e.ESTALE, x

time.sleep(max(0, start + 16 - time.monotonic()))
print(z.refused(e.ESTALE, z.client(fd)[1].commit, late))
first = z.ticket(fd)[0]
for i in range(1024):
    last = z.ticket(fd)[0]
c = z.client(fd)[1]
z.refused(e.ESTALE, c.commit, first)    # dropped: there are too many
c.commit(last)
END
"$ZCCTL" info "$M" >/dev/null
zc_umount "$M"
zc_check "$S"
ok 'refused: made up, used, foreign, read-only, too old, dropped'
