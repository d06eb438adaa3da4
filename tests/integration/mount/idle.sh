#!/bin/bash
# SPDX-License-Identifier: MIT
#
# While requests come in close to each other idle CPUs poll, and no longer; the kernel is asked what it
# makes of it.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
[[ "$(id -u)" == 0 && -w /dev/cpu_dma_latency ]] || skip 'only root may ask, and there is no /dev/cpu_dma_latency'

zc_create "$S"
mkdir "$M"
start() {
	"$ZCFS" "$S" "$M" -f -o "$1" >"$T/out" 2>&1 &
	pid=$!
	soon 60 is_mounted "$M"
}
finish() {
	zc_umount "$M"
	wait "$pid" || fail "zcfs ended with $?: $(<"$T/out")"
}
fact() {
	"$ZCCTL" info --json "$M" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}
# The latency that the kernel keeps to, us. (Other mounts, too, may have idle CPUs poll for moments.)
latency() {
	python3 -c 'print(int.from_bytes(open("/dev/cpu_dma_latency", "rb", 0).read(4), "little"))'
}
# Make and remove files until the latency is what is wanted, or for SECONDS.
stream() {
	python3 - "$M" "$1" <<-'EOF'
		import os, sys, time
		mnt, seconds = sys.argv[1:]
		end = time.monotonic() + float(seconds)
		with open("/dev/cpu_dma_latency", "rb", 0) as device:
		    while time.monotonic() < end:
		        for n in range(50):
		            os.close(os.open(f"{mnt}/file", os.O_CREAT | os.O_WRONLY))
		            os.unlink(f"{mnt}/file")
		        if device.read(4) == bytes(4):
		            sys.exit(0)
		sys.exit(1)
	EOF
}
not_polling() { [[ "$(latency)" != 0 ]]; }

start idle=poll
[[ "$(fact idle_polled)" == 0 ]] || fail 'they poll before anything is asked'
stream 60 || fail "they do not poll while requests come in: $(fact idle_polled)"
[[ "$(fact idle_poll)" == True && "$(fact idle_polled)" -gt 0 ]] || fail 'zcctl info does not tell'
ok 'they poll while requests come in'
soon 30 not_polling || fail 'they poll long after the last request'
[[ "$(fact idle_polling)" == False ]] || fail 'zcctl info says that they poll'
ok 'they stop when it ends'
stream 60 || fail 'they do not poll a second time'
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
soon 30 not_polling || fail 'they poll after the daemon has ended'
ok 'they stop when the daemon is killed'
umount "$M"

start idle=halt
stream 0.3 || true
[[ "$(fact idle_poll)" == False && "$(fact idle_polled)" == 0 ]] || fail 'zcctl info says that they poll with idle=halt'
finish
ok 'idle=halt'
zc_check "$S"

! "$ZCFS" "$S" "$M" -o idle=sleep 2>"$T/err" || fail 'idle=sleep is taken'
grep -q 'option idle=sleep: idle CPUs do auto, poll or halt' "$T/err" || fail "idle=sleep: $(<"$T/err")"
ok 'what is not known is refused'
