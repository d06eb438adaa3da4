#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fio: random writes by pwrite and by a mapping, each block verified, also after a new mount.
. "$(dirname "$0")/../common.sh" || exit 1
need fio
fresh
cd "$T" || exit 1 # where fio leaves its state
job() { # ENGINE BLOCK SIZE [OPTIONS]
	local engine=$1 block=$2 size=$3
	shift 3
	fio --name="$engine" --directory="$M" --filename="$engine.$block" --ioengine="$engine" \
		--rw=randwrite --bs="$block" --size="$size" --verify=crc32c --verify_fatal=1 \
		--randseed=7 --thread --output-format=terse "$@" >"$T/fio.out" 2>&1 ||
		fail "fio $engine $block: $(tail -n 3 "$T/fio.out")"
	ok "$engine, blocks of $block $*"
}
for engine in psync mmap; do
	job "$engine" 4k 32M --fsync=2000
	job "$engine" 64k 48M --end_fsync=1
done
job psync 128k 32M --direct=1
remount
for engine in psync mmap; do
	job "$engine" 4k 32M --verify_only
	job "$engine" 64k 48M --verify_only
done
