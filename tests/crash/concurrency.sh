#!/bin/bash
# SPDX-License-Identifier: MIT
# 64 concurrent fsyncs, renames over open dirty files and cold reads on two workers: none waits
# for ever, and all read what they wrote.
# usage: concurrency.sh [SECONDS]
. "$(dirname "$0")/../support/lib.sh" || exit 1
. "$(dirname "$0")/common.sh" || exit 1

store="$T/store" mnt="$T/mnt"
zc_create "$store"
zc_mount "$store" "$mnt" workers=2
timeout -k 2 400 "$bin/concurrency" run "$mnt" "${1:-10}" || fail "a call hangs or failed"
zc_umount "$mnt"
zc_check "$store"
zc_mount "$store" "$mnt"
"$bin/concurrency" verify "$mnt" || fail "after a remount a file is not whole"
zc_umount "$mnt"
echo "ok: 64 threads, two workers, none waits for ever"
