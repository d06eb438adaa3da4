#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A mapping outlives the descriptor, and the kernel does not tell when it ends: what is stored to it is
# seen by everybody who opens the file, and is in the store when nobody has it mapped any more.
. "$(dirname "$0")/pt.sh" || exit 1
fresh passthrough,commit=0
live "$M"
head -c 1000000 /dev/zero >"$M/file"
head -c 1000000 /dev/zero >"$M/read"
images 0
python3 "$ZC_SRC/tests/integration/passthrough/outlived_mapping.py" "$M" "$ZCCTL"
images 0
ok 'no image is left when the mappings are gone'
equal 'stores after close' "$(dd if="$M/file" bs=1 skip=100000 count=6 status=none)" stored
crash passthrough,commit=0
equal 'the committed bytes' "$(dd if="$M/file" bs=1 skip=200000 count=9 status=none)" committed
equal 'bytes after the commit' "$(dd if="$M/file" bs=1 skip=100000 count=6 status=none | tr '\0' 0)" 000000
ok 'a crash shows what fsync committed'
