#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fsync of a directory commits all names so far.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh commit=0
python3 - "$M" <<'END'
import os, sys
os.chdir(sys.argv[1])
def sync(name):
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
os.makedirs("a/b")
os.symlink("target", "a/link")
os.mkfifo("a/fifo")
with open("a/file", "wb") as f:
    f.write(b"content")
    f.flush()
    os.fsync(f.fileno())
os.rename("a/file", "a/b/file")
os.chmod("a/b/file", 0o4711)
os.setxattr("a/b/file", "user.x", b"y")
sync("a/b")
os.mkdir("later")
os.rename("a/b/file", "later/file")
sync(".")
os.unlink("a/fifo")
os.mkdir("last")
END
crash
[[ -d $M/a/b && -d $M/later ]] || fail 'a directory is missing'
equal 'the link' "$(readlink "$M/a/link")" target
equal 'the renamed file' "$(<"$M/later/file")" content
equal 'its mode' "$(stat -c %a "$M/later/file")" 4711
equal 'its xattr' "$(python3 -c 'import os, sys
print(os.getxattr(sys.argv[1], "user.x").decode())' "$M/later/file")" y
[[ ! -e $M/a/b/file ]] || fail 'the old name is still there'
# What came after the last fsync is there or not, in order
[[ ! -e $M/last || ! -e $M/a/fifo ]] || fail 'a later change without the one before'
ok 'names, modes and xattrs up to the fsync survived'
