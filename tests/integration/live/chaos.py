# SPDX-License-Identifier: MIT
"""Everything at once, in no order: clients of libzc map, store, commit (one file, several), roll back, resize and leave;
programs on the mount write, cut, punch, rename over, link, unlink, sync. No call hangs or gives an error that it may not;
then the daemon is unmounted, ended by a signal, cut off, or killed, and the store is sound."""
import ctypes
import errno
import multiprocessing
import os
import random
import signal
import subprocess

from live import *

SECONDS = float(os.environ.get("ZC_MS", "400" if os.environ.get("ZC_QUICK") else "700")) / 1000
SEED = int(os.environ.get("SEED", "3"))
NAMES = "abc"
KINDS = [("policy=explicit", "commit=0"), ("policy=auto", "commit=1")]
if os.geteuid() == 0:
    KINDS += [("passthrough=all", "policy=explicit", "commit=1")]
# What may be true for the moment: no such file now, or a new one; live, or not; mapped by nobody any more.
FAIR = {errno.ENOENT, errno.EEXIST, errno.EBUSY, errno.ESTALE, errno.EINVAL, errno.EXDEV, errno.EFBIG,
        errno.EPERM, errno.ENODEV, errno.ENOSPC}
libc = ctypes.CDLL(None, use_errno=True)


def client(path, seed, end, dying):
    """Until the time is over; the errors that it may not get."""
    rng = random.Random(seed)
    # (A SIGBUS is nothing that a sanitizer should tell of.)
    quiet = {name: os.environ.get(name, "") + ":handle_sigbus=0" for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}
    c = Client(**quiet)
    files, wrong = {}, []

    def step():
        n = rng.randrange(3)
        what = rng.randrange(12)
        if n not in files:
            c.open(n, "w" if what < 9 else "wp", f"{path}/{rng.choice(NAMES)}")
            files[n] = False
            c.map(n, rng.choice([0, 0, 4 << 20]))
            files[n] = True
        elif what < 5 and files[n]:
            size = c.status(n)[0]
            if size >= 4096:
                c.put(n, rng.randrange(size - 100), f"by-{seed}")
            c.commit(n)
        elif what == 5:
            c("many", *files)
        elif what == 6:
            c.rollback(n)
        elif what == 7:
            c.resize(n, rng.randrange(1, 300) * 1024)
        elif what == 8:
            c.status(n)
        else:
            del files[n]
            c.close(n)

    while time.monotonic() < end.value:
        try:
            step()
        except EOFError:
            c.process.wait()
            # (SIGBUS: a paged file was cut, or its mount has gone; a passed file was cut.)
            if c.process.returncode != -signal.SIGBUS and not dying.value:
                wrong.append(f"client: status {c.process.returncode}")
            c, files = Client(**quiet), {}
        except OSError as e:
            if e.errno not in FAIR and not dying.value:
                wrong.append(f"client: {e}")
    c.kill()
    return wrong


def sync(path):
    """This mount alone: others may hang, for tests that run beside this one."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if libc.syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(fd)


def program(path, seed, end, dying):
    rng = random.Random(seed)
    wrong = []

    def opened(flags):
        return os.open(f"{path}/{rng.choice(NAMES)}", flags | os.O_CREAT, 0o600)

    def change():
        fd = opened(rng.choice([os.O_RDWR, os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_TRUNC, os.O_RDWR | os.O_APPEND]))
        try:
            for _ in range(rng.randrange(4)):
                what = rng.randrange(7)
                if what < 3:
                    os.pwrite(fd, rng.randbytes(rng.randrange(1, 20000)), rng.randrange(200000))
                elif what == 3:
                    os.ftruncate(fd, rng.randrange(300000))
                elif what == 4:
                    subprocess.run(["fallocate", "-p", "-o", str(rng.randrange(50) * 4096), "-l", "40960",
                                    f"/proc/self/fd/{fd}"], pass_fds=[fd], stderr=subprocess.DEVNULL)
                elif what == 5:
                    os.fsync(fd)
                else:
                    os.fstat(fd)
        finally:
            os.close(fd)

    def step():
        what = rng.randrange(9)
        a, b = (f"{path}/{rng.choice(NAMES)}" for _ in range(2))
        if what < 4:
            change()
        elif what == 4:
            new = f"{path}/new-{seed}"
            with open(new, "wb") as f:
                f.write(rng.randbytes(50000))
            os.replace(new, a)
        elif what == 5:
            os.rename(a, b)
        elif what == 6:
            os.unlink(a)
        elif what == 7:
            os.stat(a)
            os.truncate(a, rng.randrange(200000))
        else:
            sync(path) if rng.random() < 0.1 else os.link(a, f"{path}/link-{seed}-{rng.randrange(1000)}")

    while time.monotonic() < end.value:
        try:
            step()
        except OSError as e:
            if e.errno not in FAIR and not dying.value:
                wrong.append(f"program: {e}")
    return wrong


def run_one(queue, function, *args):
    try:
        queue.put(function(*args))
    except BaseException as e:
        queue.put([repr(e)])
        raise


def control(m):
    return f"/sys/fs/fuse/connections/{os.minor(os.stat(m.path).st_dev)}/abort"


def finish(how, m):
    """The daemon ends while everybody works."""
    pid = m.pid()
    if how == "abort":
        with open(control(m), "w") as f:
            f.write("1")
    else:
        os.kill(pid, {"kill": signal.SIGKILL, "term": signal.SIGTERM}[how])
    m.wait_daemon(pid)
    subprocess.run([*(["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-uz"]), m.path],
                   stderr=subprocess.DEVNULL)


def chaos(m, seed, how):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    end = context.Value("d", time.monotonic() + SECONDS)
    dying = context.Value("b", 0)
    workers = [context.Process(target=run_one, args=(queue, f, m.path, 1000 * seed + n, end, dying))
               for n, f in enumerate([client] * 3 + [program] * 3)]
    for w in workers:
        w.start()
    if how != "umount":
        time.sleep(SECONDS * 0.7)
        dying.value = 1
        finish(how, m)
        end.value = 0
    wrong = []
    for w in workers:
        wrong += queue.get(timeout=90)
    for w in workers:
        w.join(60)
        assert not w.is_alive(), "a process hangs"
    assert not wrong, "; ".join(wrong[:10])
    if how == "umount":
        soon(lambda: all(i["client_count"] == 0 for i in m.images()))
        m.umount()
    run(m.zcctl, "check", m.store)


ENDS = ["umount", "kill", "term"]
for k, options in enumerate(KINDS):
    m = Mount(*options)
    if os.access(control(m), os.W_OK) and "abort" not in ENDS:
        ENDS.append("abort")
    for n, how in enumerate(ENDS):
        chaos(m, SEED + 10 * k + n, how)
        ok(f"{' '.join(options)}, {how}")
        m.mount(*options)
    m.umount()
    os.rename(m.store, f"{m.store}-{k}")
