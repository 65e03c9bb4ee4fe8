"""Clients that others wrote, against the daemon: grpc-js, its reflection client and buf from npm; nghttp, h2load and
curl from Debian. (python3-grpcio has test_grpc.py.) Answers are compared with those over HTTP, exactly."""
import base64
import glob
import json
import os
import re
import struct
import subprocess
import time

import numpy as np
import pytest

import npm
import pictures
from daemon import ROOT, keys_file

from test_grpc import MODEL, SERVICE, pb, picture_request  # noqa: F401

PACKAGES = ["@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1", "grpc-js-reflection-client@1.4.2", "@bufbuild/buf@1.75.0"]
PROTOS = os.path.join(ROOT, "protocol")
PICTURE = pictures.plain((200, 30, 90), (40, 30))
SLOW = pictures.plain((200, 30, 90), (4000, 4000))  # few bytes, much to decode
HEALTH = "grpc.health.v1.Health"
REFLECTIONS = {"v1": "grpc.reflection.v1.ServerReflection", "v1alpha": "grpc.reflection.v1alpha.ServerReflection"}


@pytest.fixture(scope="session")
def node():
    """A folder with the packages in its node_modules."""
    try:
        return npm.install(*PACKAGES)
    except npm.Missing as e:
        pytest.skip(str(e))


def b64(data):
    return base64.b64encode(data).decode()


def begin(node, daemon, scenario, data=PICTURE, **more):
    asked = {"address": f"127.0.0.1:{daemon.grpc_port}", "model": MODEL, "picture": b64(data), **more}
    return subprocess.Popen(["node", os.path.join(ROOT, "tests", "integration", "clients.cjs"), node, PROTOS, scenario,
                             json.dumps(asked)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process, seconds=60):
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return json.loads(out)


def ask(node, daemon, scenario, data=PICTURE, **more):
    return end(begin(node, daemon, scenario, data, **more))


def scores(daemon, data=PICTURE):
    """What REST says."""
    body = {"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "data": [b64(data)]}],
            "outputs": [{"name": "probabilities"}]}
    r = daemon.request("POST", f"/v2/models/{MODEL}/infer", json.dumps(body))
    assert r.status == 200, r.body
    return r.json["outputs"][0]["data"]


def equal(answer, want):
    """Floats that JavaScript widened to doubles, and floats as text."""
    assert "scores" in answer, answer
    return answer["scores"] == [float(np.float32(v)) for v in want]


# ---- grpc-js ----

def test_node_unary(node, tiny):
    a = ask(node, tiny, "unary")
    assert a["live"] == {"live": True} and a["ready"] == {"ready": True}
    assert a["server"] == tiny.request("GET", "/v2").json
    assert a["model"]["inputs"][0]["shape"] == ["-1", "16", "16", "3"] and a["model"]["name"] == MODEL
    assert a["config"]["config"]["input"][0]["data_type"] == "TYPE_UINT8"
    assert equal(a["contents"], scores(tiny)) and a["contents"]["id"] == "one"
    assert equal(a["raw"], scores(tiny))


def test_node_gzip(node, tiny):
    a = ask(node, tiny, "gzip")
    assert equal(a["contents"], scores(tiny)) and equal(a["large"], scores(tiny))


def test_node_many_at_a_time(node, tiny):
    a = ask(node, tiny, "many", count=100)
    assert [one["id"] for one in a] == [str(i) for i in range(100)]
    want = scores(tiny)
    assert all(equal(one, want) for one in a)


def test_node_stream(node, tiny):
    a = ask(node, tiny, "stream", count=50)
    assert a["code"] == 0 and [one["id"] for one in a["got"]] == [str(i) for i in range(50)]
    want = scores(tiny)
    for i, one in enumerate(a["got"]):
        assert one["error"] if i % 5 == 3 else equal(one, want)


def test_node_as_perf_analyzer(node, tiny):
    """One answer for each message, marked as its last whether or not empty ones are asked for; none where there is no
    stream (Triton: src/grpc/stream_infer_handler.cc, infer_handler.cc)."""
    a = ask(node, tiny, "perf_analyzer", count=20)
    assert "scores" in a["unary"] and a["unary"]["parameters"] == {} and a["unary"]["id"] == ""
    assert a["code"] == 0 and [one["id"] for one in a["got"]] == [str(i) for i in range(20)]
    for one in a["got"]:
        assert one["error"] == "" and one["scores"] == a["unary"]["scores"]
        assert one["final"]["triton_final_response"]["bool_param"] is True
    count = [int(a[when]["model_stats"][0]["inference_count"]) for when in ("before", "after")]
    assert count[1] - count[0] >= 21


def test_node_deadline(node, start):
    a = ask(node, start("--workers", "1"), "deadline", SLOW, ms=30)
    assert a["late"]["code"] == 4 and a["live"] == {"live": True}


def test_node_cancel(node, start):
    d = start("--workers", "1", "--max-batch", "1")
    a = ask(node, d, "cancel", SLOW, count=12)
    codes = [one.get("code", 0) for one in a["calls"]]
    assert set(codes) <= {0, 1} and codes.count(1) >= 6 and a["live"] == {"live": True}
    end_at = time.monotonic() + 10
    while d.metric("mobilenetd_requests_total", route=f"/{SERVICE}/ModelInfer", code="499") < codes.count(1):
        assert time.monotonic() < end_at
        time.sleep(0.05)


def test_node_errors(node, tiny):
    a = ask(node, tiny, "errors")
    assert (a["model"]["code"], a["model"]["details"]) == (5, "Request for unknown model: 'ü%20' is not found")
    assert a["model"]["trailers"]["x-request-id"] == "mine-7"
    assert a["picture"]["code"] == 3 and a["output"]["code"] == 3 and "nothing" in a["output"]["details"]
    assert (a["method"]["code"], a["method"]["details"]) == (12, "there is no method /no/No")


def test_node_too_large(node, start):
    assert ask(node, start("--max-body", "100K"), "large", bytes=300_000)["code"] == 8


def test_node_keys(node, start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, "hush-5f1c infer", "ops metrics"))
    assert ask(node, d, "key")["code"] == 16
    assert ask(node, d, "key", key="ops")["code"] == 7
    assert "scores" in ask(node, d, "key", key="hush-5f1c")


def test_node_keepalive(node, start):
    d = start("--idle-timeout-ms", "30000")
    a = ask(node, d, "keepalive")
    assert equal(a["first"], scores(d)) and a["second"]["scores"] == a["first"]["scores"] and a["state"] == 2


def test_node_tls(node, secure):
    d = secure()
    a = ask(node, d, "unary", ca=d.ca.cert)
    assert equal(a["contents"], scores(d))


def test_node_health(node, tiny):
    a = ask(node, tiny, "health", service=SERVICE)
    assert a["check"] == {"status": "SERVING"} and a["unknown"]["code"] == 5
    assert set(a["list"]["statuses"]) == {"", SERVICE, HEALTH, *REFLECTIONS.values()}
    assert {s["status"] for s in a["list"]["statuses"].values()} == {"SERVING"}


def test_node_watch(node, start):
    d = start("--drain-grace-ms", "1000")
    p = begin(node, d, "watch")
    assert p.stderr.readline() == "watching\n"
    d.signal()
    a = end(p)
    assert a["states"] == ["SERVING", "NOT_SERVING"] and a["code"] == 14
    assert d.wait() == 0


@pytest.mark.parametrize("version", REFLECTIONS)
def test_node_reflection(node, tiny, version):
    a = ask(node, tiny, "reflection", version=version)
    assert set(a["services"]) == {SERVICE, HEALTH, *REFLECTIONS.values()}
    assert {"ModelInfer", "ModelStreamInfer", "LogSettings"} <= set(a["methods"][SERVICE])
    assert set(a["methods"][HEALTH]) == {"Check", "List", "Watch"}
    assert a["unknown"] == "no such symbol"
    assert a["live"] == {"live": True} and equal(a["infer"], scores(tiny))


# ---- buf ----

@pytest.fixture
def buf(node, tmp_path):
    """buf(daemon, method or None, flag…, data=…): one `buf curl`, which knows only what reflection tells it."""
    binaries = glob.glob(os.path.join(node, "node_modules", "@bufbuild", "buf-linux-*", "bin", "buf"))
    if not binaries:
        pytest.skip("npm has no buf for this machine")

    def run(daemon, method, *flags, data=None, scheme="http", status=0):
        given = ["-d", "@-"] if data is not None else []
        plain = ["--http2-prior-knowledge"] if scheme == "http" else []
        done = subprocess.run([binaries[0], "curl", "--protocol", "grpc", *plain, *given, *flags,
                               f"{scheme}://127.0.0.1:{daemon.grpc_port}" + (f"/{method}" if method else "")],
                              input=data, capture_output=True, text=True, timeout=60, cwd=tmp_path,
                              env=dict(os.environ, HOME=str(tmp_path), BUF_CACHE_DIR=str(tmp_path)))
        assert (done.returncode == 0) == (status == 0), (done.returncode, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr

    return run


def question(data=PICTURE, **more):
    return json.dumps({"model_name": MODEL, "inputs": [{"name": "input", "datatype": "BYTES", "shape": [1],
                                                        "contents": {"bytes_contents": [b64(data)]}}],
                       "outputs": [{"name": "probabilities"}], **more})


def in_answer(a):
    return np.frombuffer(base64.b64decode(a["rawOutputContents"][0]), "<f4").tolist()


@pytest.mark.parametrize("version", REFLECTIONS)
def test_buf_lists(buf, tiny, version):
    protocol = ("--reflect-protocol", f"grpc-{version}")
    assert set(buf(tiny, None, "--list-services", *protocol).split()) == {SERVICE, HEALTH, *REFLECTIONS.values()}
    assert f"{SERVICE}/ModelStreamInfer" in buf(tiny, None, "--list-methods", *protocol).split()
    assert json.loads(buf(tiny, f"{SERVICE}/ServerLive", *protocol, data="{}")) == {"live": True}


def test_buf_infers(buf, tiny):
    want = [float(np.float32(v)) for v in scores(tiny)]
    assert in_answer(json.loads(buf(tiny, f"{SERVICE}/ModelInfer", data=question()))) == want
    lines = "".join(question(b"broken" if i == 2 else PICTURE, id=str(i)) + "\n" for i in range(5))
    out, got, at = buf(tiny, f"{SERVICE}/ModelStreamInfer", data=lines), [], 0
    while out[at:].strip():
        one, used = json.JSONDecoder().raw_decode(out[at:].lstrip())
        at += len(out[at:]) - len(out[at:].lstrip()) + used
        got.append(one)
    assert [one["inferResponse"]["id"] for one in got] == list("01234")
    assert got[2]["errorMessage"] and all(in_answer(got[i]["inferResponse"]) == want for i in (0, 1, 3, 4))


def test_buf_errors(buf, tiny):
    said = json.loads(buf(tiny, f"{SERVICE}/ModelMetadata", data='{"name":"nobody"}', status=1))
    assert said == {"code": "not_found", "message": "Request for unknown model: 'nobody' is not found"}
    assert json.loads(buf(tiny, f"{SERVICE}/ModelReady", data='{"name":"nobody"}')) == {}  # false is left out
    assert json.loads(buf(tiny, f"{HEALTH}/Check", data="{}")) == {"status": "SERVING"}


def test_buf_tls(buf, secure):
    d = secure()
    assert json.loads(buf(d, f"{SERVICE}/ServerReady", "--cacert", d.ca.cert, scheme="https", data="{}")) == {"ready": True}


# ---- programs of Debian ----

@pytest.fixture
def body(tmp_path, pb):  # noqa: F811
    """A file with one gRPC message, in its frame: a picture and its model."""
    message = picture_request(pb, PICTURE).SerializeToString()
    path = tmp_path / "body"
    path.write_bytes(struct.pack(">BI", 0, len(message)) + message)
    return str(path)


def infer_url(daemon):
    return f"http://127.0.0.1:{daemon.grpc_port}/{SERVICE}/ModelInfer"


GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


def scores_in(framed, pb):  # noqa: F811
    flag, size = struct.unpack_from(">BI", framed)
    assert flag == 0 and len(framed) == size + 5
    a = pb.inference.ModelInferResponse.FromString(framed[5:])
    return np.frombuffer(a.raw_output_contents[0], "<f4").tolist()


def test_curl(tiny, body, pb, tmp_path):  # noqa: F811
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", *GRPC, "--data-binary", "@" + body,
                           "-D", str(tmp_path / "head"), infer_url(tiny)], capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert scores_in(done.stdout, pb) == [float(np.float32(v)) for v in scores(tiny)]
    head = (tmp_path / "head").read_text().lower()
    assert head.startswith("http/2 200") and "content-type: application/grpc" in head and "grpc-status: 0" in head


def test_nghttp(tiny, body, pb):  # noqa: F811
    done = subprocess.run(["nghttp", "-v", *GRPC, "-d", body, infer_url(tiny)],
                          capture_output=True, timeout=30)
    assert done.returncode == 0 and b":status: 200" in done.stdout and b"grpc-status: 0" in done.stdout, done.stdout
    got = subprocess.run(["nghttp", *GRPC, "-d", body, infer_url(tiny)], capture_output=True, timeout=30)
    assert scores_in(got.stdout, pb) == [float(np.float32(v)) for v in scores(tiny)]


@pytest.mark.parametrize("flags", [["-c1", "-m1"], ["-c4", "-m32"], ["-c2", "-m8", "-w10", "-W10"]])
def test_h2load(tiny, body, flags):
    def answered():
        return tiny.metric("mobilenetd_requests_total", route=f"/{SERVICE}/ModelInfer", code="200")

    before = answered()
    done = subprocess.run(["h2load", "-n400", *flags, *GRPC, "-d", body, infer_url(tiny)], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.search(r"requests: 400 total, 400 started, 400 done, 400 succeeded, 0 failed, 0 errored, 0 timeout", done.stdout)
    assert answered() == before + 400
