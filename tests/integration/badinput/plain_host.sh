#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A host filesystem without O_DIRECT, fallocate and xattrs: works, and says once what is missing.
. "$(dirname "$0")/../common.sh" || exit 1
[[ $(id -u) == 0 ]] || skip 'a ramfs needs root'
mkdir "$T/ram" "$M"
mount -t ramfs none "$T/ram"
S=$T/ram/store
zc_create "$S"
"$ZCFS" "$S" "$M" 2>"$T/log" || fail "zcfs: $(<"$T/log")"
grep -Eqi 'o_direct|direct|allocate|punch' "$T/log" ||
	fail "no note of what the host lacks: $(<"$T/log")"
lines=$(grep -ci "o_direct" "$T/log" || true)
((lines <= 1)) || fail "said $lines times: $(<"$T/log")"
head -c 5M /dev/urandom >"$T/data"
cp "$T/data" "$M/data"
fallocate -l 1M "$M/allocated"
fallocate -p -o 1M -l 1M "$M/data"
fallocate -p -o 1M -l 1M "$T/data"
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.a", b"value")' "$M/data"
cmp "$T/data" "$M/data"
remount
cmp "$T/data" "$M/data"
equal 'an xattr' "$(python3 -c 'import os, sys
print(os.getxattr(sys.argv[1], "user.a").decode())' "$M/data")" value
sync "$M/data"
crash
cmp "$T/data" "$M/data"
rm "$M/data" "$M/allocated"
zc_umount "$M"
zc_check "$S"
soon 60 umount "$T/ram"
ok 'a store on ramfs'
