#!/bin/bash
# SPDX-License-Identifier: MIT
#
# live_limit is of all images together, those of libzc's clients and those that are passed through, and
# so is a user's share.
. "$(dirname "$0")/pt.sh" || exit 1
export PYTHONPATH="$PYTHONPATH:$ZC_SRC/tests/integration/live:$ZC_SRC/tests/integration/commit"
timeout 200 python3 "$ZC_SRC/tests/integration/passthrough/shared_limit.py"
