"""Ends runs: by a signal after a time, by strace at a system call, and lets them end."""

import os
import signal
import subprocess
import time

import etl
from processes import die_with_parent

DEVNULL = open(os.devnull, "wb")  # noqa: SIM115, for as long as the checks


def listens(process, number):
    """Whether a process has a handler for a signal; true where it has ended, too."""
    try:
        with open(f"/proc/{process.pid}/status") as status:
            [caught] = [line.split()[1] for line in status if line.startswith("SigCgt:")]
    except (OSError, ValueError):
        return True
    return process.poll() is not None or int(caught, 16) >> (number - 1) & 1


def after(seconds, number, args, env=None):
    """Starts a run and sends it a signal; its exit code, and how long it took to end. None where it had ended before."""
    process = etl.start(*args, env=env, stdout=DEVNULL, stderr=DEVNULL)
    try:
        # until then it has not read its command line
        while number != signal.SIGKILL and not listens(process, number):
            time.sleep(0.001)
        time.sleep(seconds)
        ended = process.poll() is not None
        began = time.monotonic()
        if not ended:
            process.send_signal(number)
        code = process.wait(timeout=30)
        return None if ended else (code, time.monotonic() - began)
    finally:
        process.kill()
        process.wait()


def traced(args, *injections, paths=(), env=None, timeout=120):
    """A run under strace, which injects: `rename:signal=KILL:when=2`, only in calls about `paths` where there are any."""
    calls = ",".join(injection.split(":")[0] for injection in injections)
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}"]
    command += [word for injection in injections for word in ("-e", f"inject={injection}")]
    command += [word for path in paths for word in ("-P", str(path))]
    command += [etl.BINARY, *map(str, args)]
    began = time.monotonic()
    done = subprocess.run(
        command,
        env=etl.ENVIRONMENT | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        preexec_fn=die_with_parent,
        check=False,
    )
    return etl.Run(command, done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def was_killed(run):
    # strace ends as what it ran
    return run.code in (-signal.SIGKILL, 128 + signal.SIGKILL)
