#!/bin/bash
# SPDX-License-Identifier: MIT
# test.sh [--sanitize|--tsan] [--quick] [--suite NAME]... - install what is needed, build, test.
#
#   --sanitize    with AddressSanitizer, leak detection and UBSan, in programs and daemon
#   --tsan        with ThreadSanitizer
#   --quick       unit and integration only, which see ZC_QUICK=1 and may do less
#   --suite NAME  only this suite: unit, integration, model, crash, bench; may be repeated
#
# Builds in build-test (-asan, -tsan), or in $ZC_BUILD_DIR. The compiler is $CC. Status: that of
# the test runner. Further arguments after -- go to meson test.
set -euo pipefail

usage() {
	sed -n '3,11s/^# \{0,1\}//p' "$0"
}

suites=() sanitize=none suffix='' multiplier=1
while (($#)); do
	case "$1" in
	--sanitize) sanitize=address,undefined suffix=-asan multiplier=3 ;;
	--tsan) sanitize=thread suffix=-tsan multiplier=5 ;;
	--quick)
		suites+=(--suite unit --suite integration)
		export ZC_QUICK=1
		;;
	--suite)
		if [[ -z "${2:-}" ]]; then
			usage >&2
			exit 2
		fi
		suites+=(--suite "$2")
		shift
		;;
	--)
		shift
		break
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "test.sh: unknown argument '$1'" >&2
		usage >&2
		exit 2
		;;
	esac
	shift
done

src="$(cd "$(dirname "$0")/.." && pwd -P)"
build="${ZC_BUILD_DIR:-$src/build-test$suffix}"

"$src/scripts/install-deps.sh" test

options=(-Dtests=enabled "-Db_sanitize=$sanitize")
if [[ "$sanitize" != none ]]; then
	# clang's sanitizers leave symbols open for the program to bring.
	options+=(-Db_lundef=false)
	export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:check_initialization_order=1:detect_stack_use_after_return=1:abort_on_error=0}"
	export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
	export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=0:exitcode=66:second_deadlock_stack=1}"
fi
if [[ -f "$build/build.ninja" ]]; then
	meson configure "$build" "${options[@]}"
else
	meson setup "$build" "$src" "${options[@]}"
fi
ninja -C "$build"

# Twice as many as there are processors: half of what a test does is waiting for a disk or a clock.
exec meson test -C "$build" --no-rebuild --print-errorlogs \
	--num-processes "${ZC_TEST_JOBS:-$((2 * $(nproc)))}" \
	--timeout-multiplier "${ZC_TIMEOUT_MULTIPLIER:-$multiplier}" "${suites[@]}" "$@"
