#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The kernel opens directories and lists them again without asking, and sees what has changed.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh

cat >"$T/list.py" <<'EOF'
import json, os, subprocess, sys

top, zcctl = sys.argv[1:]
dir, other = f"{top}/dir", f"{top}/other"


def count(*names):
    done = json.loads(subprocess.check_output([zcctl, "stats", "--json", top]))["operations"]
    return sum(done.get(name, {}).get("count", 0) for name in names)


def expect(what, where=dir, fd=None):
    for _ in range(2):  # what was read, and what was kept
        found = sorted(os.listdir(where if fd is None else fd))
        assert found == sorted(expected), f"after {what}: {set(found) ^ set(expected)}"


os.mkdir(dir)
os.mkdir(other)
held = os.open(dir, os.O_RDONLY | os.O_DIRECTORY)
expected = [f"name{n}" for n in range(3000)]
for name in expected:
    os.close(os.open(f"{dir}/{name}", os.O_CREAT | os.O_WRONLY))
expect("creating")
for attempt in range(5):  # somebody may empty the caches
    before = count("readdir", "readdirplus")
    expect("nothing")
    asked = count("readdir", "readdirplus") - before
    if not asked:
        break
assert not asked, "it was asked for again"
assert count("opendir", "releasedir") <= 1, "directories are opened by request"
print("ok: listed again without a request", flush=True)

os.unlink(f"{dir}/name7")
expected.remove("name7")
expect("unlink")
os.rename(f"{dir}/name8", f"{dir}/renamed")
expected[expected.index("name8")] = "renamed"
expect("rename")
os.rename(f"{dir}/name9", f"{other}/away")
expected.remove("name9")
expect("rename to elsewhere")
os.rename(f"{other}/away", f"{dir}/back")
expected.append("back")
expect("rename from elsewhere")
os.rename(f"{dir}/name10", f"{dir}/name11")
expected.remove("name10")
expect("rename over another")
os.link(f"{dir}/back", f"{dir}/linked")
os.symlink("back", f"{dir}/symbolic")
os.mkdir(f"{dir}/directory")
os.mkfifo(f"{dir}/fifo")
expected += ["linked", "symbolic", "directory", "fifo"]
expect("link, symlink, mkdir, mknod")
fd = os.open(dir, os.O_TMPFILE | os.O_WRONLY)
os.link(f"/proc/self/fd/{fd}", f"{dir}/unnamed", src_dir_fd=fd)
os.close(fd)
expected.append("unnamed")
expect("linking an unnamed file")
os.rmdir(f"{dir}/directory")
expected.remove("directory")
expect("rmdir")
expect("all of it, by a descriptor opened before", fd=held)
print("ok: what changes is seen", flush=True)

with os.scandir(dir) as entries:
    for entry in entries:
        os.unlink(entry.path)
assert os.listdir(dir) == [], "left by removing while listing"
expected = []
expect("removing all")
os.rmdir(dir)
assert os.listdir(held) == [], "a removed directory has entries"
os.close(held)
print("ok: removed while listing")
EOF
python3 "$T/list.py" "$M" "$ZCCTL"

if [[ "$(id -u)" == 0 ]]; then
	zc_umount "$M"
	zc_mount "$S" "$M" allow_root
	mkdir -p "$M/private"
	chmod 777 "$M" "$M/private"
	! setpriv --reuid=65534 --regid=65534 --clear-groups ls "$M/private" 2>"$T/err" ||
		fail 'allow_root lets another user list a directory'
	[[ "$(ls "$M")" == *private* ]] || fail 'root cannot list with allow_root'
	ok 'allow_root keeps others out'
fi
