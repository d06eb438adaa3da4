# SPDX-License-Identifier: MIT
"""Processes store to a live file in all ways that there are - tracked, untracked, by write(2), in children, giving memory
back - come, go, die and commit, and the daemon is killed: what a commit that had returned must have is there, and nothing
that nobody stored. The same after a clean unmount, and with images that go to the store by themselves."""
import os
import random
import subprocess

from live import *

ROUNDS = int(os.environ.get("ZC_ROUNDS", "2" if os.environ.get("ZC_QUICK") else "4"))
MS = int(os.environ.get("ZC_MS", "500"))
rng = random.Random(int(os.environ.get("SEED", "5")))
program, model = os.path.dirname(PROGRAM) + "/live_lost", T + "/model"
# (With 2 or 5 among them the image is compared at each commit.)
WHO = ["01", "0134", "012345", "0134"]
KINDS = [(["policy=explicit", "commit=0"], []), (["policy=auto", "commit=1"], ["--checksum"])]
if os.geteuid() == 0:
    KINDS.append((["passthrough=all", "policy=explicit", "commit=1"], ["--size", "64M"]))

for options, create in KINDS:
    m = Mount(*options, create=create)
    path = m / "file"
    with open(path, "wb") as f:
        f.truncate(2048 * 4096)
        os.fsync(f.fileno())
    for n in range(ROUNDS):
        workers = subprocess.Popen([program, path, model, WHO[n % 4], str(MS), str(rng.randrange(10**6))],
                                   stdout=subprocess.PIPE, text=True)
        crash = n % 4 != 3
        if crash:
            time.sleep(MS / 1000 * (0.3 + 0.6 * rng.random()))
            pid = m.pid()
            os.kill(pid, signal.SIGKILL)
        out, _ = workers.communicate(timeout=60)
        assert workers.returncode == 0, "a process failed"
        if crash:
            m.wait_daemon(pid)
            run(*(["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-uz"]), m.path)
            run(m.zcctl, "check", m.store)
            m.mount(*options)
        else:
            soon(lambda: m.images() == [])
            m.remount(*options)
        run(program, "--check", path, model)
        ok(f"{' '.join(options)}, {'killed' if crash else 'unmounted'}, processes {WHO[n % 4]}: {out.strip()}")
    m.umount()
    run("rm", "-r", m.store)
    os.unlink(model)
