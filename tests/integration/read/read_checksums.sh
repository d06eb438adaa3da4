#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A store with checksums sees the bytes of each page that is read, whatever way is asked for.
. "$(dirname "$0")/read_lib.sh" || exit 1

make_files --checksum
compare read=splice
taken copy
untaken splice map direct
because read_checksums
leave
