"""What the load scripts share: verdicts, daemons with real models, photos, generators and processor time.

Figures are always printed. A verdict about speed is one only without --short: on a machine that others use, too, such a
ratio says little, and is printed with "met" or "missed" instead."""
import argparse
import contextlib
import glob
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
os.environ.setdefault("MOBILENETD_BUILD", os.path.join(
    ROOT, "build-test" if os.path.exists(os.path.join(ROOT, "build-test", "mobilenetd")) else "build"))
from daemon import BINARY, BUILD, Daemon  # noqa: E402

SHARED = os.path.abspath(os.environ.get("MOBILENETD_SHARED") or os.path.join(ROOT, "..", "shared"))
LADDER = ["mobilenet_v1_1.0_224", "mobilenet_v1_0.75_192", "mobilenet_v1_0.5_160", "mobilenet_v1_0.25_128"]
CORES = len(os.sched_getaffinity(0))
TICK = os.sysconf("SC_CLK_TCK")


def note(text=""):
    print("# " + text, flush=True)


class Tap:
    def __init__(self, short=False):
        self.n, self.failed, self.short = 0, 0, short

    def check(self, what, good, why=""):
        """Something that holds on any machine."""
        self.n += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}", flush=True)
        if why and not good:
            for line in why.splitlines():
                note(line)

    def speed(self, what, good):
        """Something that a quiet machine is needed for."""
        if self.short:
            note(f"{what}: {'met' if good else 'missed'}")
        else:
            self.check(what, good)

    def end(self):
        print(f"1..{self.n}")
        return 1 if self.failed or not self.n else 0


def options(what, seconds=10.0, short=3.0, **more):
    """--seconds, --short and whole numbers of one's own, by name and default."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help=f"length of one measurement; {seconds:g}, with --short {short:g}")
    parser.add_argument("--short", action="store_true", help="figures alone are no failure")
    for name, value in more.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value, help=f"default {value}")
    args = parser.parse_args()
    if args.seconds is None:
        args.seconds = short if args.short else seconds
    return args


def need(*programs):
    """Ends the script with a skip if something is not there."""
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        print(f"1..0 # SKIP {missing[0]} is not installed")
    elif not os.path.isdir(os.path.join(SHARED, "models")):
        print("1..0 # SKIP no ../shared with models and photos")
    else:
        return
    sys.exit(0)


@contextlib.contextmanager
def models(*names):
    """A repository of these, by default of the best variant alone."""
    with tempfile.TemporaryDirectory() as path:
        subprocess.run([os.path.join(ROOT, "deploy", "pull"), *(names or LADDER[:1]), "--to", path], check=True,
                       env=dict(os.environ, MOBILENETD_MIRROR=os.path.join(SHARED, "models")),
                       stdout=subprocess.DEVNULL)
        yield path


@contextlib.contextmanager
def serving(path, *flags, **more):
    usual = [] if "--max-wait-ms" in flags else ["--max-wait-ms", "2000"]
    d = Daemon(path, "--no-log-requests", *usual, *flags, **more)
    try:
        yield d
    finally:
        d.stop()


def photos():
    """Those of the usual size and weight: 500 x 375, about 100 KB."""
    found = sorted(glob.glob(os.path.join(SHARED, "images", "imagenet100", "*.[jJ]*")))
    return [f for f in found if 60e3 < os.path.getsize(f) < 160e3] or found


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def folder_of(files):
    with tempfile.TemporaryDirectory() as path:
        for f in files:
            os.symlink(f, os.path.join(path, os.path.basename(f)))
        yield path


def bench(path, *flags, model=LADDER[0]):
    """What it says, and its processor time as `cpu`."""
    before = children()
    out = subprocess.run([BINARY, "bench", "--models", path, "--model", model, "--json", *map(str, flags)],
                         capture_output=True, check=True, text=True).stdout
    return dict(json.loads(out), cpu=children() - before)


def generator(daemon, rate, seconds, connections, target="/v1/classify", files=None):
    return [os.path.join(BUILD, "tests", "load", "open_loop"), "127.0.0.1", str(daemon.port), f"{rate:.3f}",
            str(seconds), str(connections), target, *(files or photos())]


def load(*args, **more):
    """What open_loop says; a rate of 0 is a closed loop. Its own processor time is among it."""
    out = subprocess.run(generator(*args, **more), capture_output=True, check=True, text=True).stdout
    return json.loads(out)


def loop_seconds(daemon):
    """Processor time of the daemon's loop thread, which is its first."""
    with open(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def is_answered(r):
    return r["broken"] == 0 and r["other"] == 0 and r["good"] > 0


def median(values):
    values = sorted(values)
    return values[len(values) // 2]
