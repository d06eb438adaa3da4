#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What has no room in live_limit is served from the page cache, and counted; when there is room again it
# is passed through.
. "$(dirname "$0")/pt.sh" || exit 1
fresh passthrough=all,live_limit=4M
head -c 3000000 /dev/urandom >"$T/bytes"
cp "$T/bytes" "$M/a"
cp "$T/bytes" "$M/b"
images 0
refused=$(fact passthrough_refused)
exec 3<>"$M/a"
equal 'images' "$(fact passthrough_images)" 1
exec 4<>"$M/b"
equal 'images' "$(fact passthrough_images)" 1
equal 'refused' "$(fact passthrough_refused)" $((refused + 1))
printf changed >&4
cmp "$T/bytes" "$M/a" || fail 'a has other bytes'
cmp -i 7 "$T/bytes" "$M/b" || fail 'b has other bytes'
equal 'the start of b' "$(head -c 7 "$M/b")" changed
exec 3<&-
images 0
cmp -i 7 "$T/bytes" "$M/b" || fail 'b has other bytes'
equal 'b stays as it was opened' "$(fact passthrough_images)" 0
exec 4<&-
exec 3<>"$M/b"
equal 'images' "$(fact passthrough_images)" 1
equal 'the start of b' "$(head -c 7 "$M/b")" changed
exec 3<&-
ok 'above live_limit: by the page cache, counted'
