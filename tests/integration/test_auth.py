"""API keys: who may call what through HTTP and gRPC, how often, and what a reload changes."""
import signal
import subprocess

import pytest

from daemon import BINARY, keys_file, logged, SANDBOX, wait_for
from pictures import RED
from test_grpc import MODEL, SERVICE, Client, code_of, grpc, pb  # noqa: F401

LINES = ("alice infer", "root-5f1c infer,admin,metrics", "prometheus metrics", "slow infer 0.1/2")
CLASSIFY = ("PUT", "/v1/classify")


@pytest.fixture(scope="module")
def keyed(tiny_models, tmp_path_factory):
    from daemon import Daemon
    d = Daemon(tiny_models, "--api-keys", keys_file(tmp_path_factory.mktemp("keys"), *LINES), "--log-format", "json")
    yield d
    d.stop()


def ask(d, method, path, key=None, body=None):
    return d.request(method, path, body, {"Authorization": f"Bearer {key}"} if key else {})


def test_health_asks_for_no_key(keyed):
    for path in ("/healthz", "/v2/health/live", "/v2/health/ready"):
        assert ask(keyed, "GET", path).status == 200
    done = subprocess.run([BINARY, "health", "--http", keyed.address], capture_output=True, timeout=20)
    assert done.returncode == 0


def test_no_key_and_wrong_keys(keyed):
    r = ask(keyed, *CLASSIFY, body=RED)
    assert r.status == 401 and r.headers["WWW-Authenticate"] == 'Bearer realm="mobilenetd"'
    assert r.json["error"] == "an API key is needed"
    for headers in ({"Authorization": "Bearer mallory"}, {"X-API-Key": "mallory"}, {"X-API-Key": "a" * 5000},
                    {"Authorization": "Bearer " + "\u00ff"}, {"X-API-Key": "Alice"}):
        r = keyed.request(*CLASSIFY, RED, {k: v.encode("latin-1") for k, v in headers.items()})
        assert r.status == 401 and 'error="invalid_token"' in r.headers["WWW-Authenticate"]
    assert keyed.request(*CLASSIFY, RED, {"Authorization": "Basic YWxpY2U6"}).status == 401
    assert ask(keyed, "GET", "/v2?api_key=alice").status == 401


def test_every_other_route_asks_for_a_key(keyed):
    paths = ask(keyed, "GET", "/openapi.json", "root-5f1c").json["paths"]
    for path, item in paths.items():
        if "health" in path:
            continue
        for method in item.keys() & {"get", "head", "post", "put"}:
            r = ask(keyed, method.upper(), path.replace("{model}", MODEL).replace("{version}", "1"),
                    body="{}" if method in ("post", "put") else None)
            assert r.status == 401, (method, path, r.status)


def test_scopes(keyed):
    assert ask(keyed, *CLASSIFY, key="alice", body=RED).status == 200
    assert keyed.request(*CLASSIFY, RED, {"X-API-Key": "alice"}).status == 200
    r = ask(keyed, *CLASSIFY, key="prometheus", body=RED)
    assert r.status == 403 and 'error="insufficient_scope"' in r.headers["WWW-Authenticate"]
    assert [ask(keyed, "GET", "/metrics", k).status for k in ("alice", "prometheus", "root-5f1c")] == [403, 200, 200]
    assert ask(keyed, "POST", "/v2/logging", "root-5f1c", "{}").status == 403  # `admin` is off
    assert logged(keyed, '"key":"alice"') and "Bearer" not in keyed.log()


def test_a_large_body_is_not_read_first(keyed):
    with keyed.socket() as s:
        s.sendall(b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 15000000\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_rate(start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, *LINES))
    assert [ask(d, *CLASSIFY, key="slow", body=RED).status for _ in range(3)] == [200, 200, 429]
    r = ask(d, "GET", "/v2", "slow")
    assert r.status == 429 and 1 <= int(r.headers["Retry-After"]) <= 11
    assert ask(d, *CLASSIFY, key="alice", body=RED).status == 200
    d.signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in d.log())
    assert ask(d, "GET", "/v2", "slow").status == 429  # its bucket went over


def test_reload(start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, "old infer"))
    assert ask(d, "GET", "/v2", "old").status == 200
    keys_file(tmp_path, "new infer")
    d.signal(signal.SIGHUP)
    wait_for(lambda: ask(d, "GET", "/v2", "new").status == 200)
    assert ask(d, "GET", "/v2", "old").status == 401
    (tmp_path / "keys").write_text("new infer nonsense\n")
    d.signal(signal.SIGHUP)
    wait_for(lambda: "reload failed" in d.log())
    assert logged(d, "line 1") and ask(d, "GET", "/v2", "new").status == 200


def test_reload_in_the_sandbox(start, tmp_path):
    d = start("--sandbox", SANDBOX, "--api-keys", keys_file(tmp_path, "old infer"))
    keys_file(tmp_path, "new infer")
    d.signal(signal.SIGHUP)
    wait_for(lambda: ask(d, "GET", "/v2", "new").status == 200)


def test_a_broken_file_stops_the_start(tiny_models, tmp_path):
    for text in ("x", "a infer", "a infer 12\n", "\0" * 4096, "a" * 300000):
        (tmp_path / "keys").write_text(text)
        done = subprocess.run([BINARY, "serve", "--models", str(tiny_models), "--http", "127.0.0.1:0", "--grpc", "",
                               "--api-keys", str(tmp_path / "keys")], capture_output=True, timeout=30)
        assert done.returncode == 1 and b"api_keys: " in done.stderr, done.stderr
    for path in (tmp_path, tmp_path / "none"):
        done = subprocess.run([BINARY, "serve", "--models", str(tiny_models), "--http", "127.0.0.1:0",
                               "--api-keys", str(path)], capture_output=True, timeout=30)
        assert done.returncode == 1 and b"api_keys: " in done.stderr, done.stderr


# ---- gRPC ----

def bearer(key):
    return [("authorization", "Bearer " + key)]


def test_grpc_unary(keyed, pb):  # noqa: F811
    c = Client(keyed, pb)
    ready, question = pb.inference.ModelReadyResponse, pb.inference.ModelReadyRequest(name=MODEL)
    assert c.call("ServerLive").live and c.call("ServerReady").ready
    h = pb.health
    assert c.unary("grpc.health.v1.Health", "Check", h.HealthCheckRequest(), h.HealthCheckResponse).status == 1
    assert code_of(c.unary, SERVICE, "ModelReady", question, ready) == (
        grpc.StatusCode.UNAUTHENTICATED, "an API key is needed")
    assert code_of(c.unary, SERVICE, "ModelReady", question, ready,
                   metadata=bearer("mallory"))[0] == grpc.StatusCode.UNAUTHENTICATED
    assert code_of(c.unary, SERVICE, "ModelReady", question, ready,
                   metadata=bearer("prometheus"))[0] == grpc.StatusCode.PERMISSION_DENIED
    assert c.unary(SERVICE, "ModelReady", question, ready, metadata=bearer("alice")).ready
    assert c.unary(SERVICE, "ModelReady", question, ready, metadata=[("x-api-key", "alice")]).ready
    c.channel.close()


def test_grpc_streams(start, tmp_path, pb):  # noqa: F811
    d = start("--api-keys", keys_file(tmp_path, *LINES))
    c = Client(d, pb)
    request = pb.inference.ModelInferRequest(model_name="no")
    for metadata, code in ((None, grpc.StatusCode.UNAUTHENTICATED), (bearer("prometheus"), grpc.StatusCode.PERMISSION_DENIED)):
        with pytest.raises(grpc.RpcError) as e:
            list(c.stream_infer(iter([request]), metadata=metadata))
        assert e.value.code() == code
    answers = list(c.stream_infer(iter([request] * 4), metadata=bearer("slow")))
    assert ["rate" in a.error_message for a in answers] == [False, False, True, True]
    assert "no" in answers[0].error_message
    question = pb.inference.ModelReadyRequest(name=MODEL)
    with pytest.raises(grpc.RpcError) as e:
        c.unary(SERVICE, "ModelReady", question, pb.inference.ModelReadyResponse, metadata=bearer("slow"))
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-retry-pushback-ms" in dict(e.value.trailing_metadata())
    c.channel.close()


# ---- browsers ----

PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT",
             "Access-Control-Request-Headers": "authorization,content-type"}


def cors(r):
    return {k.lower()[15:]: v for k, v in r.headers.items() if k.lower().startswith("access-control-")}


def test_cors(start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, *LINES), "--cors-origins", "https://app.example, http://localhost:3000")
    r = d.request("OPTIONS", "/v1/classify", None, PREFLIGHT)
    assert r.status == 204 and r.body == b"" and r.headers["Vary"] == "Origin"
    assert cors(r)["allow-origin"] == "https://app.example" and cors(r)["allow-methods"] == "POST, PUT"
    assert {"Authorization", "X-API-Key", "Content-Type", "If-None-Match"} <= set(cors(r)["allow-headers"].split(", "))
    assert "allow-credentials" not in cors(r)
    r = d.request(*CLASSIFY, RED, {"Origin": "http://localhost:3000", "X-API-Key": "alice"})
    assert r.status == 200 and cors(r)["allow-origin"] == "http://localhost:3000"
    r = d.request(*CLASSIFY, RED, {"Origin": "http://localhost:3000"})
    assert r.status == 401 and cors(r)["allow-origin"] == "http://localhost:3000"  # a page may read why
    for origin in ("https://evil.example", "null", "https://app.example.evil", "https://" + "a" * 5000):
        r = d.request("OPTIONS", "/v1/classify", None, {**PREFLIGHT, "Origin": origin})
        assert r.status == 405 and not cors(r) and r.headers["Vary"] == "Origin"
        r = d.request(*CLASSIFY, RED, {"Origin": origin, "X-API-Key": "alice"})
        assert r.status == 200 and not cors(r)
    assert d.request("OPTIONS", "/v1/classify", None, {"Origin": "https://app.example"}).status == 405
    assert d.request("OPTIONS", "/nothing", None, PREFLIGHT).status == 404


PAGE = "https://app.example"


def test_a_page_can_read_everything(start):
    d = start("--cors-origins", PAGE, "--cache-bytes", "1M", "--max-body", "10K")

    def ask(method, path, body=None, **headers):
        r = d.request(method, path, body, {"Origin": PAGE, **headers})
        exposed = cors(r)["expose-headers"].split(", ")
        # Fetch, "CORS-safelisted response-header name", and what is of the connection
        hidden = {"Content-Type", "Content-Length", "Date", "Connection", "Vary", "Timing-Allow-Origin"}
        assert {h for h in r.headers if not h.startswith("Access-Control-")} - hidden <= set(exposed)
        assert cors(r)["allow-origin"] == r.headers["Timing-Allow-Origin"] == PAGE
        return r

    r = ask(*CLASSIFY, RED)
    assert r.status == 200 and r.headers["Server-Timing"]
    assert ask(*CLASSIFY, RED, **{"If-None-Match": r.headers["ETag"]}).status == 304
    assert ask("GET", "/v2/health/ready").status == 200
    assert ask("GET", "/v1/classify").headers["Allow"] == "POST, PUT"
    assert ask(*CLASSIFY, RED, **{"Content-Encoding": "br"}).headers["Accept-Encoding"]
    assert ask("GET", "/nothing").status == 404
    assert ask(*CLASSIFY, bytes(11 << 10)).status == 413
    assert ask(*CLASSIFY, iter([bytes(11 << 10)])).status == 413  # chunked
    assert ask("GET", "ftp://elsewhere/").status == 400
    assert ask("GET", "/v1/models", **{"X-Odd": "\x01"}).status == 400  # said before there is a route


def test_no_cors(keyed):
    r = keyed.request("OPTIONS", "/v1/classify", None, PREFLIGHT)
    assert r.status == 405 and not cors(r) and "Vary" not in r.headers
