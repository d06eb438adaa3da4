#!/bin/bash
# SPDX-License-Identifier: MIT
#
# examples/sendfile_server: every byte arrives, for many clients at once, whoever leaves or cheats.
. "$(dirname "$0")/../common.sh" || exit 1
need curl python3
P=$ZC_BUILD/examples/sendfile_server

says 'sendfile_server DIR PORT' "$P" --help || fail '--help does not show the arguments'
fails 1 "$P" "$T/missing" 0
grep -q '^sendfile_server: .*missing: No such file' "$T/fails.err" || fail 'a wrong error'

fresh
D=$M/www
mkdir -p "$D/sub" "$T/get"
: >"$D/0"
for size in 1 4095 4096 10485760; do
	head -c "$size" /dev/urandom >"$D/$size"
done
cp "$D/4095" "$D/sub/file"
echo secret >"$M/secret"
ln -s ../secret "$D/out"
ln -s /etc/passwd "$D/absolute"
ln -s sub/file "$D/in"
mkfifo "$D/fifo"
remount # nothing is cached

"$P" "$D" 0 >"$T/port" 2>"$T/log" &
server=$!
soon 60 test -s "$T/port"
port=$(<"$T/port")
url=http://127.0.0.1:$port
get() { curl -sS --fail --max-time 150 --path-as-is "$@"; }
status() { curl -s --max-time 150 --path-as-is -o "$T/body" -w '%{http_code}' "$url/$1"; }

for name in 0 1 4095 4096 10485760 sub/file in; do
	get -o "$T/get/file" "$url/$name"
	cmp "$D/$name" "$T/get/file"
done
ok 'sizes 0, 1, 4095, 4 KiB and 10 MiB, byte for byte'

equal 'no such file' "$(status missing)" 404
equal 'a file as a directory' "$(status 4096/x)" 404
for path in ../secret sub/../../secret out absolute; do
	equal "the way out by $path" "$(status "$path")" 403
	! grep -q -e secret -e root "$T/body" || fail "$path shows a file outside"
done
equal 'a directory' "$(status sub)" 403
equal 'a FIFO' "$(status fifo)" 403
equal 'a method' "$(curl -s -o /dev/null -w '%{http_code}' --max-time 150 -X PUT "$url/1")" 405
ok 'nothing outside of the directory is served'

# Clients that leave early, and one that reads slowly through a small window
python3 - "$port" "$D/10485760" <<'END'
import socket, sys, time
def ask(path, window=None):
    s = socket.socket()
    if window:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    s.settimeout(150)
    s.connect(("127.0.0.1", int(sys.argv[1])))
    if path:
        s.sendall(b"GET /" + path + b" HTTP/1.0\r\n\r\n")
    return s
for i in range(10):
    s = ask(b"10485760", 4096)
    s.recv(1000)
    s.close()               # with unread data: the server gets a reset
ask(None).close()
want = open(sys.argv[2], "rb").read()
s = ask(b"10485760", 8192)
time.sleep(0.5)             # the server's buffer is full by now
got = b"".join(iter(lambda: s.recv(100000), b""))
assert got.split(b"\r\n\r\n", 1)[1] == want, "a slow reader got something else"
s = ask(b"x" * 10000)
assert b" 400 " in s.recv(1000), "a request that is too long"
END
kill -0 "$server" || fail 'a client that leaves ends the server'
ok 'clients leave early, one reads slowly'

pids=()
for i in {1..12}; do
	get -o "$T/get/$i" "$url/10485760" &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || fail 'one of the parallel clients fails'
done
for i in {1..12}; do
	cmp "$D/10485760" "$T/get/$i"
done
kill "$server"
wait "$server" || true
ok '12 clients at once'
