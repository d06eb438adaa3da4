#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A large file and its holes: copied, compared, and the same after a new mount.
. "$(dirname "$0")/../common.sh" || exit 1
need fallocate cmp
fresh
head -c 8M /dev/urandom >"$T/piece"
for _ in {1..38}; do cat "$T/piece"; done | tail -c +4001 >"$T/host" # pieces at odd places
dd if="$T/host" of="$M/big" bs=1M conv=fsync status=none
cmp "$T/host" "$M/big"
ok '300 MiB'

# The same changes to both
for file in "$T/host" "$M/big"; do
	fallocate -p -o 10000000 -l 50000000 "$file"
	fallocate -z -o 100000000 -l 5000 "$file"
	dd if="$T/piece" of="$file" bs=4567 count=100 seek=3001 conv=notrunc status=none
	truncate -s 250000000 "$file"
	truncate -s 310000001 "$file"
done
cmp "$T/host" "$M/big"
blocks=$(stat -c %b "$M/big")
((blocks * 512 < 205000000)) || fail "$blocks blocks: the holes take space"
ok 'punched, zeroed, cut and grown'
cp --sparse=always --reflink=never "$M/big" "$M/sparse"
cmp "$T/host" "$M/sparse"
remount
cmp "$T/host" "$M/big"
cmp "$T/host" "$M/sparse"
equal 'blocks after a new mount' "$(stat -c %b "$M/big")" "$blocks"
ok 'the same after a new mount'
