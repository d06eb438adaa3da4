#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Where something is lacking, reads are right all the same, and the ledger tells what lacked: no mapping, no
# splice, small pipes, no O_DIRECT, no say in the mount's read-ahead.
. "$(dirname "$0")/read_lib.sh" || exit 1

make_files
compare map=off
taken copy direct
untaken map splice
because read_no_map
leave
compare read=splice,splice=off quick
taken direct
untaken splice copy
because read_no_splice
leave
compare read=splice,pipe_size=64K quick
taken direct splice # what is small fits
because read_small_pipe
leave
compare direct_io=off quick
taken map
untaken splice copy direct
because
leave
compare direct_io=off,read=splice quick
taken splice
untaken copy direct
because
leave
compare read_ahead=keep quick
taken map
untaken copy splice
because no_readahead_control
leave
