#!/bin/bash
# SPDX-License-Identifier: MIT
#
# libzc-preload.so follows mappings that are unmapped in part, moved, and made anew where another thread has
# just unmapped: msync of each is a commit. (preload_calls.c)
. "$(dirname "$0")/pt.sh" || exit 1
fresh passthrough=all,policy=explicit,commit=0
"$ZC_BUILD/tests/integration/passthrough/preload_calls" "$M"
crash
files=0
for file in "$M"/*; do
	equal "bytes of ${file##*/} after a crash" "$(tr -d '\0' <"$file")" x
	files=$((files + 1))
done
equal 'files' "$files" 6
ok 'each msync was a commit'
