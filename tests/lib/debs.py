"""Programs of Debian packages that are unpacked into build-peers and not installed: an installed proxy would start, and take port 80."""
import glob
import os
import shutil
import subprocess

import npm

FOLDER = os.path.join(npm.FOLDER, "debs")


def unpack(packages):
    """Fetches those that are not there yet. An error's last line if that fails."""
    with npm.alone():
        missing = [p for p in packages if not os.path.exists(os.path.join(FOLDER, "." + p))]
        if not missing:
            return ""
        os.makedirs(FOLDER, exist_ok=True)
        apt = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *missing], cwd=FOLDER,
                             capture_output=True, text=True, timeout=300)
        if apt.returncode:
            return (apt.stderr.strip().splitlines() or ["apt-get failed"])[-1]
        for p in missing:
            for deb in glob.glob(os.path.join(FOLDER, p + "_*.deb")):
                subprocess.run(["dpkg-deb", "-x", deb, FOLDER], check=True, timeout=60)
                os.remove(deb)
            open(os.path.join(FOLDER, "." + p), "w").close()
    return ""


def program(name, *packages):
    """(path, environment), or (None, why not). The machine's own is taken if there is one."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path:
        return path, dict(os.environ)
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None, f"no {name}, and no apt-get to fetch it with"
    why = unpack(packages)
    path = shutil.which(name, path=":".join(os.path.join(FOLDER, "usr", place) for place in ("sbin", "bin")))
    if not path:
        return None, f"no {name}: {why or 'not in its package'}"
    libraries = ":".join(glob.glob(os.path.join(FOLDER, "usr", "lib", "*-linux-gnu*")))
    return path, dict(os.environ, LD_LIBRARY_PATH=libraries)
