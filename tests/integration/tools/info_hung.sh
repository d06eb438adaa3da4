#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl info and umount do not hang on a mount whose daemon hangs.
. "$(dirname "$0")/../common.sh" || exit 1
fresh
pid=$(zc_pid "$M")
zc_stop "$pid"
refuses '(answer|time|hang)' timeout 100 "$ZCCTL" info "$M"
refuses '(answer|time|hang)' timeout 100 "$ZCCTL" stats "$M"
kill -CONT "$pid"
answers() { timeout 60 "$ZCCTL" info "$M" >/dev/null; }
soon 120 answers
zc_umount "$M"
ok 'a daemon that hangs is told from one that answers'
