#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl info and umount do not hang on a mount whose daemon hangs.
. "$(dirname "$0")/../common.sh" || exit 1
fresh
pid=$(zc_pid "$M")
kill -STOP "$pid"
refuses '(answer|time|hang)' timeout 30 "$ZCCTL" info "$M"
kill -CONT "$pid"
timeout 30 "$ZCCTL" info "$M" >/dev/null
zc_umount "$M"
ok 'a daemon that hangs is told from one that answers'
