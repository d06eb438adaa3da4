#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make and the compiler: build a program on the mount, run it, build again only what changed.
. "$(dirname "$0")/../common.sh" || exit 1
need gcc make
fresh
D=$M/tree
mkdir "$D"
for i in {1..12}; do
	printf '#include "all.h"\nint part%d(void) { return %d; }\n' "$i" "$i" >"$D/part$i.c"
	printf 'int part%d(void);\n' "$i" >>"$D/all.h"
done
{
	printf '#include <stdio.h>\n#include "all.h"\nint main(void) {\n\tint sum = 0;\n'
	for i in {1..12}; do printf '\tsum += part%d();\n' "$i"; done
	printf '\tprintf("%%d\\n", sum);\n}\n'
} >"$D/main.c"
cat >"$D/Makefile" <<'END'
objects := $(patsubst %.c,%.o,$(wildcard *.c))
program: libparts.a main.o ; $(CC) -o $@ main.o libparts.a
libparts.a: $(filter-out main.o,$(objects)) ; $(AR) rcs $@ $^
%.o: %.c all.h ; @echo compile $<; $(CC) -g -c -o $@ $<
END
make -s -C "$D" -j2 >"$T/out"
equal 'files compiled' "$(grep -c '^compile' "$T/out")" 13
equal 'the program' "$("$D/program")" 78
make -q -C "$D" program || fail 'make finds something to do after a build'
ok 'built and run'
remount
make -q -C "$D" program || fail 'make finds something to do after a new mount'
sed -i 's/return 3/return 30/' "$D/part3.c"
make -s -C "$D" program >"$T/out"
equal 'compiled after a change' "$(grep '^compile' "$T/out")" 'compile part3.c'
equal 'the program' "$("$D/program")" 105
ok 'after a new mount only the change was built'
