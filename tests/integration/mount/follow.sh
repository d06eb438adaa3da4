#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Workers run on the CPU of a client that sends small requests one after another, at a policy that lets
# everybody else go first; they come back from both when the stream ends, and do not stay behind programs
# that want all of the CPUs.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
[[ "$(id -u)" == 0 ]] || skip 'only root may leave the policy SCHED_IDLE again'
[[ "$(nproc)" -gt 1 ]] || skip 'there is one CPU only'

zc_create "$S"
mkdir "$M"

# (In this session: the scheduler may be fair between sessions first of all.)
start() {
	"$ZCFS" "$S" "$M" -f -o "$1" >"$T/out" 2>&1 &
	pid=$!
	soon 60 is_mounted "$M"
}

fact() {
	"$ZCCTL" info --json "$M" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# Make and remove files until CONDITION is true of the daemon's facts, or for SECONDS.
stream() {
	python3 - "$M" "$1" "$2" "$ZCCTL" <<-'EOF'
		import json, os, subprocess, sys, time
		mnt, seconds, condition, zcctl = sys.argv[1:]
		end = time.monotonic() + float(seconds)
		while time.monotonic() < end:
		    for n in range(300):
		        os.close(os.open(f"{mnt}/file", os.O_CREAT | os.O_WRONLY))
		        os.unlink(f"{mnt}/file")
		    facts = json.loads(subprocess.check_output([zcctl, "info", "--json", mnt]))
		    if eval(condition, {}, facts):
		        sys.exit(0)
		sys.exit(1)
	EOF
}

# Each thread: its policy and its CPUs.
threads() {
	local task
	for task in "/proc/$pid/task/"*; do
		awk '{ sub(/.*\) /, ""); print $39 }' "$task/stat"
		awk '/^Cpus_allowed_list/ { print $2 }' "$task/status"
	done | paste -sd' '
}

threads_are_normal() {
	local words
	read -ra words < <(threads)
	printf '%s\n' "${words[@]}" | awk -v cpus="$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status)" '
		NR % 2 == 1 { bad += $1 != 0 }
		NR % 2 == 0 { bad += $1 != cpus && !(guard++ == 0) } # the guard keeps off one
		END { exit bad > 0 }'
}

start follow=on
stream 60 'follow_entries > 0 and follow_moves > 0' || fail "the workers never followed: $(fact follow_entries)"
ok 'workers follow a stream of small requests'
soon 30 threads_are_normal || fail "after the stream the threads are (policy, CPUs): $(threads)"
[[ "$(fact follow_cpu)" == -1 ]] || fail 'nothing is asked, and workers still follow'
ok 'they come back when it ends'

# Two busy programs for each CPU. At SCHED_IDLE a worker would get a 300th of a CPU.
for ((n = 0; n < 2 * $(nproc); n++)); do
	(while :; do :; done) &
done
# (Whether they follow at all now is the scheduler's doing.)
before="$(date +%s%N)"
stream 60 'True' || fail 'among busy programs 300 files took more than a minute'
stream 60 'True' || fail 'among busy programs 300 more files took more than a minute'
took=$((($(date +%s%N) - before) / 1000000))
((took < 20000)) || fail "among busy programs 600 files took $took ms"
ok "among busy programs 600 files took $took ms; starved $(fact follow_starved) times"
for job in $(jobs -p); do
	[[ $job == "$pid" ]] || kill "$job"
done
zc_umount "$M"
wait "$pid" || fail "zcfs ended with $?: $(<"$T/out")"
zc_check "$S"

start follow=off
stream 2 'False' || true
equal 'entries with follow=off' "$(fact follow_entries)" 0
zc_umount "$M"
wait "$pid"
ok 'follow=off'
