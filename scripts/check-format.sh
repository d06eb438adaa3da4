#!/bin/bash
# SPDX-License-Identifier: MIT
# check-format.sh [--fix] - is every C file laid out as .clang-format says, every text file clean?
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(find lib fs tools examples tests -name '*.[ch]' 2>/dev/null | sort)
case "${1:-}" in
--fix)
	clang-format -i "${sources[@]}"
	exit 0
	;;
'') ;;
*)
	echo "check-format.sh: unknown argument '$1' (--fix, or none)" >&2
	exit 2
	;;
esac

status=0
if ! clang-format --dry-run --Werror --ferror-limit=3 "${sources[@]}"; then
	echo "check-format.sh: run scripts/check-format.sh --fix" >&2
	status=1
fi

# What clang-format does not see.
mapfile -t texts < <(find lib fs tools examples tests docs scripts .ci ./*.md ./meson* -type f \
	\( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.md' -o -name 'meson*' \
	-o -name run \) 2>/dev/null | sort)
if grep -nE '[[:blank:]]+$' "${texts[@]}"; then
	echo "check-format.sh: white space at the end of the lines above" >&2
	status=1
fi
for file in "${texts[@]}"; do
	if [[ -s "$file" && -n "$(tail -c 1 "$file")" ]]; then
		echo "$file: no newline at its end" >&2
		status=1
	fi
done
exit "$status"
