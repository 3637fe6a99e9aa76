"""Named checks of one area, and what a program asks of whoever runs it."""

import os
import sys
import time

HOSTS = os.environ["MATRIX_HOSTS"]
OTHER_HOSTS = ",".join(HOSTS.split(",")[1:] + HOSTS.split(",")[:1])
ROOT = os.environ["MATRIX_ROOT"]
SERVER_LINE = os.environ["MATRIX_SERVER_LINE"]
AREA = sys.argv[-1]
# How long anything may take that is waited for.
WAIT_SECONDS = 60


def check(name):
    """Runs the decorated function at once and says whether it ends as it should."""

    def run(step):
        try:
            step()
            print(f"ok {AREA} {name}", flush=True)
        except Exception as error:
            why = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"FAIL {AREA} {name}: {why}", flush=True)

    return run


def none(why):
    print(f"none {AREA}: {why}", flush=True)


def equal(wanted, seen):
    if wanted != seen:
        raise AssertionError(f"wanted {wanted!r}, seen {seen!r}")


def refused(error, call, *arguments, **named):
    try:
        result = call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"wanted {error}, got {result!r}")


def eventually(what, condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.05)


def ask(request):
    """Asks whoever runs this program to do something to the servers."""
    print(f"? {request}", flush=True)
    return sys.stdin.readline().strip()
