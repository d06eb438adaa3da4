#!/bin/bash
# SPDX-License-Identifier: MIT
# check-tidy.sh - clang-tidy over lib, fs and tools with the checks of .clang-tidy.
#
# Uses the compile commands of $ZC_BUILD_DIR, or of build-tidy, which it sets up with clang.
set -euo pipefail

src="$(cd "$(dirname "$0")/.." && pwd -P)"
build="${ZC_BUILD_DIR:-$src/build-tidy}"
[[ -f "$build/build.ninja" ]] || CC=clang meson setup "$build" "$src" >/dev/null

cd "$src"
mapfile -t files < <(find lib fs tools -name '*.c' 2>/dev/null | sort)
jobs="$(nproc)"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
# The longest files first, so that no processor waits for the last one.
status=0
wc -c "${files[@]}" | grep -v ' total$' | sort -rn | awk '{ print $2 }' |
	xargs -P "$jobs" -n 1 clang-tidy -p "$build" --quiet >"$log" 2>/dev/null || status=$?
cat "$log"
if ((status)); then
	echo "check-tidy.sh: clang-tidy has findings in the files above" >&2
	exit 1
fi
echo "clang-tidy: ${#files[@]} files, no findings"
