#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nginx with sendfile on: the bytes arrive as they are, also after a new mount.
. "$(dirname "$0")/../common.sh" || exit 1
need nginx curl
PATH=$PATH:/usr/sbin
fresh
mkdir "$M/www" "$T/get"
: >"$M/www/0"
for size in 1 4095 4096 4097 1048577 20000000; do
	head -c "$size" /dev/urandom >"$M/www/$size"
done
truncate -s 3M "$M/www/hole"

user=
[[ $(id -u) != 0 ]] || user='user root;'
cat >"$T/nginx.conf" <<END
$user
daemon off;
worker_processes 2;
pid $T/nginx.pid;
error_log $T/nginx.log;
events { worker_connections 64; }
http {
	access_log off;
	sendfile on;
	sendfile_max_chunk 512k;
	tcp_nopush on;
	client_body_temp_path $T/n1; proxy_temp_path $T/n2; fastcgi_temp_path $T/n3;
	uwsgi_temp_path $T/n4; scgi_temp_path $T/n5;
	server { listen unix:$T/nginx.sock; root $M/www; }
}
END
serve() {
	nginx -e "$T/nginx.log" -p "$T" -c "$T/nginx.conf" &
	server=$!
	soon 60 listens
}
# The socket is there before it is listened to.
listens() { get -o "$T/first" http://localhost/1 2>/dev/null; }
leave() {
	kill "$server"
	wait "$server" || true
	rm -f "$T/nginx.sock"
}
get() { curl -sS --fail --unix-socket "$T/nginx.sock" --max-time 150 "$@"; }
compare_all() {
	local file pids=() pid
	for file in "$M"/www/*; do
		get -o "$T/get/${file##*/}" "http://localhost/${file##*/}" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "a download failed: $(tail -n 3 "$T/nginx.log")"
	done
	diff -r "$M/www" "$T/get" || fail 'a download differs'
	rm "$T/get/"*
	ok "$1"
}
serve
compare_all 'served as stored'
get -r 4000-1050000 -o "$T/range" http://localhost/20000000
dd if="$M/www/20000000" of="$T/want" bs=64k skip=4000 count=1046001 iflag=skip_bytes,count_bytes,fullblock \
	status=none
cmp "$T/range" "$T/want" || fail 'a range differs'
leave
remount
serve
compare_all 'served after a new mount'
leave
