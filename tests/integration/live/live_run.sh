#!/bin/bash
# SPDX-License-Identifier: MIT
#
# live_run.sh NAME: runs the test NAME.py, which makes a store and a mount below T, for ZC_SECONDS (150) at most.
. "$(dirname "$0")/live_lib.sh" || exit 1
need python3
status=0
timeout "${ZC_SECONDS:-150}" python3 "$HERE/$1.py" || status=$?
exit "$status"
