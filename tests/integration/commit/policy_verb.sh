#!/bin/bash
# SPDX-License-Identifier: MIT
#
# zcctl policy shows and sets what commits a file; what is made in a directory has the directory's.
. "$(dirname "$0")/commit_lib.sh" || exit 1
need getfattr setfattr
fresh
policy() { "$ZCCTL" policy "$@"; }

mkdir "$M/d"
equal 'the policy of a new directory' "$(policy "$M/d")" auto
: >"$M/d/before"
policy "$M/d" explicit
equal 'the policy set' "$(policy "$M/d")" explicit
: >"$M/d/after"
mkdir "$M/d/sub"
: >"$M/d/sub/file"
for f in d/after d/sub d/sub/file; do
	equal "the inherited policy of $f" "$(policy "$M/$f")" explicit
done
equal 'the policy of what was there before' "$(policy "$M/d/before")" auto
ok 'inherited by what is made in the directory, and by nothing else'

policy "$M/d" auto --recursive
for f in d d/before d/after d/sub d/sub/file; do
	equal "the policy of $f" "$(policy "$M/$f")" auto
done
policy -R "$M/d" explicit
equal 'paths that are listed' "$(policy -R "$M/d" | grep -c '^explicit  ')" 5
policy --json -R "$M/d" >"$T/json"
equal 'paths in JSON' "$(json "$T/json" 'len([p for p in j if p["policy"] == "explicit"])')" 5
policy --json "$M/d/after" >"$T/json"
equal 'one in JSON' "$(json "$T/json" 'j["policy"]')" explicit
ok 'recursively, and as JSON'

equal 'the attribute' "$(getfattr --only-values -n user.zcfs.commit "$M/d/after")" explicit
setfattr -n user.zcfs.commit -v auto "$M/d/after"
equal 'the policy set by the attribute' "$(policy "$M/d/after")" auto
setfattr -x user.zcfs.commit "$M/d/before"
equal 'the policy after removing the attribute' "$(policy "$M/d/before")" auto
fails 1 setfattr -n user.zcfs.commit -v sometimes "$M/d/after"
ok 'the attribute user.zcfs.commit is the same'

refuses 'explicit or auto' "$ZCCTL" policy "$M/d" sometimes
refuses 'mounted zcfs' "$ZCCTL" policy "$T"
refuses 'No such file' "$ZCCTL" policy "$M/none"
ln -s after "$M/d/link"
refuses 'only files and directories' "$ZCCTL" policy "$M/d/link"

remount policy=explicit
equal 'the policy after a new mount' "$(policy "$M/d/sub/file")" explicit
equal 'auto stays auto' "$(policy "$M/d/after")" auto
: >"$M/new"
equal 'a new file where the mount says explicit' "$(policy "$M/new")" explicit
ok 'it is stored, and -o policy=explicit is for what is new'
