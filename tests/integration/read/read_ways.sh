#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What was written is what is read, whichever way the bytes take: holes, fragments, buffered pages, parts
# of pages, the end of the file; and the ledger names the way, and why another was not taken.
. "$(dirname "$0")/read_lib.sh" || exit 1

make_files
compare read=map
taken map zero memory
untaken splice copy direct
because
leave
compare read=copy
taken copy zero memory
untaken splice map direct
because
leave
compare read=splice
taken splice zero memory
untaken copy
because read_too_many_pieces # a MiB of buffered pages, each across two
leave
compare read=auto
taken map direct zero memory
untaken splice copy
because
leave
