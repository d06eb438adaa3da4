#!/bin/bash
# SPDX-License-Identifier: MIT
#
# read, write, sendfile, splice and mmap of a live file go to its memory: not one request reaches the
# daemon, and all of them see each other's bytes.
. "$(dirname "$0")/pt.sh" || exit 1
fresh passthrough,commit=0
live "$M"
head -c 3000000 /dev/urandom >"$T/bytes"
cp "$T/bytes" "$M/file"
remount passthrough,commit=0
python3 "$ZC_SRC/tests/integration/passthrough/io_paths.py" "$M/file" "$T/bytes" "$ZCCTL"
images 0
remount
python3 "$ZC_SRC/tests/integration/passthrough/io_paths.py" verify "$M/file" "$T/bytes"
ok 'the same bytes on a default mount'
