#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs in C and C++ are built against the installed library, shared and static, and work; it
# exports its calls and nothing else, and each has a manual page that names every error of its header.
. "$(dirname "$0")/../common.sh" || exit 1
need cc c++ pkg-config meson nm man
here=$(cd "$(dirname "$0")" && pwd -P)
fresh

DESTDIR=$T/root meson install -C "$ZC_BUILD" --no-rebuild --quiet
pc=$(find "$T/root" -name zc.pc)
[[ -n $pc ]] || fail 'zc.pc is not installed'
prefix=$T/root$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_PATH=${pc%/*}
read -ra flags <<<"$(pkg-config --define-variable=prefix="$prefix" --cflags --libs zc)"
read -ra extra <<<"$(pkg-config --static --libs-only-other zc)"
lib=$(pkg-config --define-variable=prefix="$prefix" --variable=libdir zc)
equal 'version in zc.pc' "$(pkg-config --modversion zc)" \
	"$(sed -n "s/^  version: '\(.*\)',/\1/p" "$ZC_SRC/meson.build")"
strict=(-Wall -Wextra -Werror -pedantic)
# A library that was built with sanitizers needs them in the program, too.
nm -D --undefined-only "$lib/libzc.so" >"$T/needs"
! grep -q __asan_init "$T/needs" || strict+=("-fsanitize=address,undefined")
! grep -q __tsan_init "$T/needs" || strict+=("-fsanitize=thread")

cc -std=c11 -D_GNU_SOURCE "${strict[@]}" "$ZC_SRC/examples/shared_counter.c" -o "$T/counter" "${flags[@]}"
cc -std=gnu11 -D_GNU_SOURCE "${strict[@]}" "$ZC_SRC/examples/live_table.c" -o "$T/table" "${flags[@]}" -pthread
c++ -std=c++11 "${strict[@]}" "$here/map_cxx.cpp" -o "$T/cxx" "${flags[@]}"
cc -std=gnu11 -D_GNU_SOURCE "${strict[@]}" "$ZC_SRC/examples/live_table.c" -o "$T/static" \
	-I"$prefix/include" "$lib/libzc.a" "${extra[@]}" -pthread
# The examples are C++ as well (but for the array at the end of live_table's structure).
c++ -x c++ -std=c++11 "${strict[@]}" "$ZC_SRC/examples/shared_counter.c" -o "$T/counter_cxx" "${flags[@]}"
c++ -x c++ "${strict[@]/-pedantic/-pthread}" "$ZC_SRC/examples/live_table.c" -o "$T/table_cxx" "${flags[@]}"
# All of the program static, as pkg-config says it
read -ra static <<<"$(pkg-config --define-variable=prefix="$prefix" --static --cflags --libs zc)"
if [[ "${strict[*]}" != *sanitize* ]]; then
	c++ -static -std=c++11 "${strict[@]}" "$here/map_cxx.cpp" -o "$T/cxx_static" "${static[@]}"
else
	cp "$T/cxx" "$T/cxx_static"
fi
printf '#include <zc/map.h>\nint main(void) { return sizeof(struct zc_status) != 64; }\n' >"$T/alone.c"
for std in c99 c11 c17; do
	cc -std=$std "${strict[@]}" "$T/alone.c" -o "$T/alone" "${flags[@]}"
	LD_LIBRARY_PATH=$lib "$T/alone"
done
c++ -std=c++98 -x c++ "${strict[@]}" "$T/alone.c" -o "$T/alone" "${flags[@]}"
# The lines in the README
{
	printf '#include <stdio.h>\n#include <zc/map.h>\nint main(void) {\nzc_file *file; uint64_t *runs;\n'
	sed -n '/^```c$/,/^```$/{/^```/!p}' "$ZC_SRC/README.md" | sed "s,/mnt/,$M/,"
	printf 'printf("%%ju\\n", (uintmax_t)*runs);\nzc_close(file);\nreturn 0;\n}\n'
} >"$T/readme.c"
cc "${strict[@]}" "$T/readme.c" -o "$T/readme" "${flags[@]}"
ok 'they compile, with all warnings'

LD_LIBRARY_PATH=$lib "$T/counter" --processes 2 --adds 100 --commits 1 "$M/counter" >"$T/out"
LD_LIBRARY_PATH=$lib "$T/table" --rows 300 "$M/table" create
"$T/static" --count 50 "$M/table" transfer >"$T/out"
LD_LIBRARY_PATH=$lib "$T/table" "$M/table" check
LD_LIBRARY_PATH=$lib "$T/cxx" "$M/cxx" >"$T/out"
equal 'what map_cxx prints' "$(<"$T/out")" "$(pkg-config --modversion zc) 1"
for runs in 1 2 3; do
	equal 'what the lines in the README do' "$(LD_LIBRARY_PATH=$lib "$T/readme")" "$runs"
done
! ldd "$T/static" | grep -q libzc || fail 'the static program needs libzc.so'
crash
equal 'the counter' "$(LD_LIBRARY_PATH=$lib "$T/counter" --show "$M/counter")" '200 200'
LD_LIBRARY_PATH=$lib "$T/cxx_static" "$M/cxx" >"$T/out"
equal 'what map_cxx prints after a crash' "$(<"$T/out")" "$(pkg-config --modversion zc) 2"
LD_LIBRARY_PATH=$lib "$T/counter_cxx" --processes 2 --adds 100 --commits 1 "$M/counter" >"$T/out"
equal 'the counter' "$(LD_LIBRARY_PATH=$lib "$T/counter_cxx" --show "$M/counter")" '400 400'
LD_LIBRARY_PATH=$lib "$T/table_cxx" "$M/table" check
ok 'they work'

nm -D --defined-only "$lib/libzc.so" | awk '$2 == "T" { sub("@.*", "", $3); print $3 }' | sort >"$T/exported"
sed -n 's/^ZC_API .*\(zc_[a-z_]*\)(.*/\1/p' "$prefix/include/zc/map.h" | sort >"$T/declared"
diff "$T/declared" "$T/exported" || fail 'what is declared is not what is exported'
ok "$(wc -l <"$T/exported") calls are exported, and nothing else"

# Every errno in the comment above a declaration is in the call's page.
awk '/^\/\*/ { text = "" } { text = text " " $0 }
	/^ZC_API/ { match($0, /zc_[a-z_]*\(/); print substr($0, RSTART, RLENGTH - 1) ":" text; text = "" }' \
	"$prefix/include/zc/map.h" >"$T/comments"
man=$(find "$prefix" -name zc_open.3 -printf '%h\n')
while IFS=: read -r call text; do
	page=$man/$call.3
	[[ -s $page ]] || fail "$call has no manual page"
	for code in $(grep -oE '\bE[A-Z0-9]{3,}\b' <<<"$text" | sort -u || true); do
		grep -q "$code" "$page" || fail "$call(3) does not tell about $code"
	done
	(cd "$man/.." && man --warnings -l "man3/$call.3" 2>&1 >/dev/null | grep . >"$T/warnings") &&
		fail "$call(3): $(<"$T/warnings")"
done <"$T/comments"
ok 'each has a manual page with its errors'
