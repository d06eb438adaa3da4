#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The pairs of modes.sh of which one is a live client, on mounts with -o passthrough: each ends in a
# defined way.
. "$(dirname "$0")/pt.sh" || exit 1
export PYTHONPATH="$PYTHONPATH:$ZC_SRC/tests/integration/live:$ZC_SRC/tests/integration/commit"
timeout 200 python3 "$ZC_SRC/tests/integration/passthrough/modes_live.py"
