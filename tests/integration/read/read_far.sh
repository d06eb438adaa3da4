#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../common.sh" || exit 1
need python3

zc_create "$S"
zc_mount "$S" "$M" workers=2
python3 "$(dirname "$0")/read_far.py" "$M" "$S/pages" || fail 'reading ahead'
zc_umount "$M"
zc_check "$S"
