"""deploy/make-release: the static program, what it is in, and what is said of it."""
import hashlib
import json
import os
import re
import subprocess

import daemon
import hardening
import pytest
from daemon import ROOT, Daemon

MB = 1000 * 1000


def run(*command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)


@pytest.fixture
def static(release, monkeypatch):
    """What Daemon starts is the static program."""
    monkeypatch.setattr(daemon, "BINARY", release.program)
    return release


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_program_needs_nothing_and_is_small(request, arch):
    made = request.getfixturevalue("release" if arch == "amd64" else "release_arm64")
    headers = run("readelf", "-hldW", made.program).stdout
    assert "INTERP" not in headers and "(NEEDED)" not in headers
    assert list(hardening.of_headers(headers)) == []
    assert "no symbols" in run("nm", made.program).stderr
    assert os.path.getsize(made.program) <= 8 * MB


def test_built_twice_it_is_the_same(release):
    assert "built twice, the same bytes" in release.said


def test_nothing_in_it_tells_where_it_was_built(release):
    with open(release.program, "rb") as f:
        program = f.read()
    assert ROOT.encode() not in program
    assert re.findall(rb"\.\./(?:config|engine|protocol|server)/[a-z/_]+\.c\b", program) == []


def test_tarball_has_its_papers(release):
    names = {os.path.relpath(m.name, release.name) for m in release.members}
    assert {"mobilenetd", "LICENSE", "mobilenetd.conf.sample", "mobilenetd.service", "mobilenetd.socket",
            "licences/libgnutls28-dev", "licences/libspng-dev"} <= names
    assert all((m.uid, m.gid) == (0, 0) for m in release.members)


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_checksums_and_bill_of_materials(request, arch):
    made = request.getfixturevalue("release" if arch == "amd64" else "release_arm64")
    assert run("sha256sum", "--check", "--strict", f"{made.name}.sha256", cwd=made.folder).returncode == 0
    with open(os.path.join(made.folder, f"{made.name}.spdx.json")) as f:
        bill = json.load(f)
    assert bill["spdxVersion"] == "SPDX-2.3" and bill["dataLicense"] == "CC0-1.0"
    ids = [p["SPDXID"] for p in bill["packages"]]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", i) for i in ids)
    for relation in bill["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= {*ids, "SPDXRef-DOCUMENT"}
    own, = [p for p in bill["packages"] if p["name"] == "mobilenetd"]
    with open(made.program, "rb") as f:
        assert own["checksums"] == [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(f.read()).hexdigest()}]
    assert all(p["versionInfo"] and p["licenseDeclared"] for p in bill["packages"])


def test_every_archive_that_was_linked_is_in_the_bill(release):
    """The linker's own list, against the components."""
    with open(os.path.join(ROOT, ".cache", "static-amd64", "components")) as f:
        taken = {line.split("\t")[0] for line in f}
    root = os.path.join(ROOT, ".cache", "static-amd64")
    linked = set()
    build = os.path.join(release.folder, "map")
    assert run("meson", "setup", build, "--native-file", f"{root}/meson.ini", "-Dstatic=true", cwd=ROOT).returncode == 0
    with open(os.path.join(build, "build.ninja")) as f:
        text = f.read()
    rule = text[text.index("build mobilenetd: c_LINKER"):].split("\n\n")[0]
    for lib in re.findall(rf"{re.escape(root)}/usr/lib/[\w-]+/lib(\w[\w.+-]*?)\.a|(?<=\s)-l(\w+)", rule):
        linked.add(lib[0] or lib[1])
    packages = {"uv_a": "libuv1-dev", "microhttpd": "libmicrohttpd-dev", "gnutls": "libgnutls28-dev", "nettle": "nettle-dev",
                "hogweed": "nettle-dev", "gmp": "libgmp-dev", "tasn1": "libtasn1-6-dev", "idn2": "libidn2-dev",
                "unistring": "libunistring-dev", "p11-kit": "libp11-kit-dev", "nghttp2": "libnghttp2-dev",
                "protobuf-c": "libprotobuf-c-dev", "jansson": "libjansson-dev", "z": "zlib1g-dev",
                "jpeg": "libjpeg62-turbo-dev", "seccomp": "libseccomp-dev", "spng": "libspng-dev", "webp": "libwebp-dev",
                "webpdemux": "libwebp-dev", "gif": "libgif-dev", "inih": "libinih-dev"}
    toolchain = {"m", "dl", "rt", "pthread", "util", "atomic"}
    assert linked - toolchain <= set(packages), "a library that this test does not know"
    assert {packages[name] for name in linked - toolchain} <= taken


def test_a_signature_command_is_run_on_the_checksums(release, tmp_path):
    """What signs is the release's owner's: here a program that only says what it was given."""
    signer = tmp_path / "sign"
    signer.write_text('#!/bin/sh\ncp "$1" "$1.sig"\n')
    signer.chmod(0o755)
    p = run("deploy/make-release", "--to", str(tmp_path / "out"), cwd=ROOT, env={**os.environ, "MOBILENETD_SIGN": str(signer)})
    assert p.returncode == 0, p.stderr
    assert (tmp_path / "out" / f"{release.name}.sha256.sig").read_text() == \
        (tmp_path / "out" / f"{release.name}.sha256").read_text()


def test_names_are_refused_with_a_sentence(static, tiny):
    p = run(static.program, "serve", "--models", tiny, "--http", "example.org:0", "--grpc", "")
    assert p.returncode != 0
    assert "looks up no names" in p.stderr + p.stdout
    p = run(static.program, "health", "--http", "example.org:80")
    assert p.returncode != 0 and "looks up no names" in p.stderr + p.stdout


@pytest.mark.parametrize("address", ["localhost:0", "127.0.0.1:0", "0.0.0.0:0"])
def test_localhost_and_numbers_are_served(static, tiny, address):
    d = Daemon(tiny, http=address)
    assert d.request("GET", "/v2/health/ready").status == 200
    d.stop()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    import tinymodel
    path = tmp_path_factory.mktemp("tiny")
    tinymodel.repository(str(path))
    return str(path)


def test_integration_tests_of_tls_sandbox_and_both_protocols(static):
    """The tests of the shared program, of what a static one could be lacking: TLS, the list of system calls, threads."""
    names = ["test_tls", "test_tls_grpc", "test_sandbox", "test_classify", "test_grpc", "test_lifecycle", "test_pages"]
    p = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
                        *[f"tests/integration/{n}.py" for n in names]], cwd=ROOT, capture_output=True, text=True, timeout=1800,
                       env={**os.environ, "MOBILENETD_BUILD": static.tree})
    assert p.returncode == 0, p.stdout[-6000:]
    assert int(re.search(r"(\d+) passed", p.stdout)[1]) > 100


def test_runs_in_an_empty_root(static, shared, real_models, tmp_path):
    """No libraries, no /etc, no /proc: what a scratch image has."""
    if os.geteuid() != 0:
        pytest.skip("needs root for chroot")
    run("cp", "-r", static.program, real_models, os.path.join(shared, "images", "photos", "orient_1.jpg"), str(tmp_path))
    models = os.path.basename(real_models)
    p = run("chroot", str(tmp_path), "/mobilenetd", "classify", "--json", "--models", "/" + models, "/orient_1.jpg")
    assert p.returncode == 0, p.stderr
    assert json.loads(p.stdout)["predictions"][0]["class"] == 145


def test_arm64_answers_as_amd64(release, release_arm64, shared, real_models):
    qemu = "/usr/bin/qemu-aarch64-static"
    if not os.path.exists(qemu):
        pytest.skip("no qemu-aarch64-static")
    ask = ["classify", "--json", "--models", real_models, os.path.join(shared, "images", "photos", "orient_1.jpg")]
    here, there = run(release.program, *ask), run(qemu, release_arm64.program, *ask)
    assert here.returncode == 0 and there.returncode == 0, there.stderr
    assert json.loads(here.stdout)["predictions"] == json.loads(there.stdout)["predictions"]
