#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What was written is what is there, whichever way the bytes of a WRITE take - spliced or read, direct or
# through the host's page cache - and the ledger names the way, and why it was not a better one.
. "$(dirname "$0")/../common.sh" || exit 1
need python3 dd

count() {
	"$ZCCTL" info --json "$M" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

fallbacks() {
	"$ZCCTL" stats --json "$M" | python3 -c 'import json, sys
print(json.load(sys.stdin)["fallbacks"].get(sys.argv[1], 0))' "$1"
}

# by OPTIONS PATH FALLBACK: most bytes of large writes take PATH; "-": nothing is counted
by() {
	local path bytes reason
	fresh "$1"
	cp "$T/data" "$M/whole"
	dd if="$T/data" of="$M/odd" bs=777777 status=none
	cp "$T/data" "$M/changed"
	sync "$M/whole" "$M/odd" "$M/changed"
	dd if="$T/data" of="$M/changed" bs=1M skip=2 seek=1 count=3 conv=notrunc status=none
	dd if="$T/data" of="$M/changed" bs=300001 skip=1 seek=11 count=5 conv=notrunc status=none
	sync "$M/changed"
	for path in write_splice write_direct write_cached write_copy; do
		bytes=$(count "${path}_bytes")
		if [[ ,$2, == *,$path,* ]]; then
			((bytes > 1000000)) || fail "$1: $bytes bytes by $path"
		else
			((bytes < 1000000)) || fail "$1: $bytes bytes by $path, too"
		fi
	done
	for reason in receive_no_splice receive_small_pipe receive_checksums write_no_direct_io \
		write_no_splice; do
		if [[ ,$3, == *,$reason,* ]]; then
			(($(fallbacks "$reason") > 0)) || fail "$1: no fallback $reason"
		else
			equal "$1: fallbacks $reason" "$(fallbacks "$reason")" 0
		fi
	done
	cmp "$T/data" "$M/whole" && cmp "$T/data" "$M/odd" && cmp "$T/changed" "$M/changed" ||
		fail "$1: other bytes"
	crash "$1"
	cmp "$T/data" "$M/whole" && cmp "$T/data" "$M/odd" && cmp "$T/changed" "$M/changed" ||
		fail "$1: other bytes after a crash"
	zc_umount "$M"
	rm -r "$S"
	ok "$1"
}

head -c 12345678 /dev/urandom >"$T/data"
cp "$T/data" "$T/changed"
dd if="$T/data" of="$T/changed" bs=1M skip=2 seek=1 count=3 conv=notrunc status=none
dd if="$T/data" of="$T/changed" bs=300001 skip=1 seek=11 count=5 conv=notrunc status=none

if [[ $(id -u) == 0 ]]; then # (an ordinary user's pipe is smaller: a case of its own below)
	by write=splice write_splice -
	by write=splice,cache=none write_splice,write_copy -
fi
by write=splice,pipe_size=1M write_splice -
by write=auto write_splice,write_direct -
by write=copy write_direct receive_no_splice
by write=splice,pipe_size=64K write_direct receive_small_pipe
by write=splice,direct_io=off write_splice write_no_direct_io 2>/dev/null
by write=copy,direct_io=off write_cached receive_no_splice,write_no_direct_io 2>/dev/null

# Checksums are of bytes that are seen.
zc_create --checksum "$S"
zc_mount "$S" "$M" write=splice
cp "$T/data" "$M/data"
sync "$M/data"
(($(fallbacks receive_checksums) > 0)) || fail 'no fallback receive_checksums'
equal 'spliced, with checksums' "$(count write_splice_bytes)" 0
remount write=splice
cmp "$T/data" "$M/data"
zc_umount "$M"
rm -r "$S"
ok 'checksums'

# Memory and offsets as programs happen to have them, past the kernel's cache.
fresh write=splice,cache=none
python3 - "$T/data" "$M/odd" <<'END'
import os, sys
data = open(sys.argv[1], "rb").read()
fd = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
at = 0
for n in (1, 4095, 300000, 123457, 1 << 20, 2000003, 4096, 65537, len(data)):
    n = os.pwrite(fd, memoryview(data)[at:at + n], at)
    at += n
os.fsync(fd)
assert os.pread(fd, len(data) + 1, 0) == data
END
remount write=splice,cache=none
cmp "$T/data" "$M/odd"
zc_umount "$M"
ok 'unaligned'
