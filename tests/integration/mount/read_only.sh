#!/bin/bash
# SPDX-License-Identifier: MIT
#
# -o ro: everything can be read, nothing changed (EROFS), and the store stays as it is.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh
mkdir "$M/dir"
echo text >"$M/file"
ln -s file "$M/link"
zc_umount "$M"
sums() { (cd "$S" && sha256sum format pages meta/data.mdb); }
before=$(sums)
zc_mount "$S" "$M" ro
equal 'the file' "$(<"$M/file")" text
equal 'the link' "$(readlink "$M/link")" file
python3 - "$M" <<'END'
import errno, os, sys
os.chdir(sys.argv[1])
for name, call in {
    "open for writing": lambda: os.open("file", os.O_WRONLY),
    "open with O_TRUNC": lambda: os.open("file", os.O_RDONLY | os.O_TRUNC),
    "create": lambda: os.open("new", os.O_WRONLY | os.O_CREAT),
    "mkdir": lambda: os.mkdir("new"),
    "mkfifo": lambda: os.mkfifo("new"),
    "symlink": lambda: os.symlink("a", "new"),
    "link": lambda: os.link("file", "new"),
    "unlink": lambda: os.unlink("file"),
    "rmdir": lambda: os.rmdir("dir"),
    "rename": lambda: os.rename("file", "new"),
    "chmod": lambda: os.chmod("file", 0o600),
    "chown": lambda: os.chown("file", 1, 1),
    "utimens": lambda: os.utime("file", (1, 1)),
    "truncate": lambda: os.truncate("file", 1),
    "setxattr": lambda: os.setxattr("file", "user.a", b"1"),
    "removexattr": lambda: os.removexattr("file", "user.a"),
}.items():
    try:
        call()
    except OSError as e:
        assert e.errno == errno.EROFS, f"{name}: {e}"
    else:
        raise AssertionError(f"{name} works on a read-only mount")
END
ok 'nothing can be changed: EROFS'
# Readers share a store
zc_mount "$S" "$T/second" ro
equal 'the file at a second place' "$(<"$T/second/file")" text
zc_umount "$T/second"
zc_umount "$M"
equal 'the files of the store' "$(sums)" "$before"
ok 'the store is as it was'
