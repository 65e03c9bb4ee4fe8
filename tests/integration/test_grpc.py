"""gRPC with Debian's own client: health, inference and streams; the same answers as over HTTP."""
import base64
import itertools
import json
import os
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import pictures
import tinymodel
from daemon import ROOT, SANITIZED, keys_file, wait_for

grpc = pytest.importorskip("grpc")

SERVICE = "inference.GRPCInferenceService"
MODEL = "colour_16"
COLOUR = (200, 30, 90)
PICTURE = pictures.plain(COLOUR, (40, 30))
SLOW = pictures.plain(COLOUR, (4000, 4000))  # few bytes, much to decode


@pytest.fixture(scope="session")
def pb(tmp_path_factory):
    """The messages, compiled by Google's compiler from our files: a second opinion on them."""
    out = tmp_path_factory.mktemp("pb")
    protos = os.path.join(ROOT, "protocol")
    subprocess.run(["protoc", f"-I{protos}", f"--python_out={out}",
                    *(os.path.join(protos, f) for f in sorted(os.listdir(protos)) if f.endswith(".proto"))],
                   check=True)
    sys.path.insert(0, str(out))
    import health_pb2
    import inference_pb2
    import reflection_pb2

    class Messages:
        inference, health, reflection = inference_pb2, health_pb2, reflection_pb2

    return Messages


class Client:
    def __init__(self, daemon, pb, **options):
        self.pb = pb
        self.channel = grpc.insecure_channel(f"127.0.0.1:{daemon.grpc_port}",
                                             options=list(options.items()))

    def unary(self, service, method, request, answer, **kwargs):
        return self.channel.unary_unary(f"/{service}/{method}", type(request).SerializeToString,
                                        answer.FromString)(request, timeout=kwargs.pop("timeout", 30), **kwargs)

    def call(self, method, **fields):
        """One method of the inference service, by its name."""
        messages = self.pb.inference
        options = fields.pop("_options", {})
        return self.unary(SERVICE, method, getattr(messages, method + "Request")(**fields),
                          getattr(messages, method + "Response"), **options)

    def infer(self, request, **kwargs):
        return self.unary(SERVICE, "ModelInfer", request, self.pb.inference.ModelInferResponse, **kwargs)

    def stream_infer(self, requests, **kwargs):
        return self.channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer", self.pb.inference.ModelInferRequest.SerializeToString,
            self.pb.inference.ModelStreamInferResponse.FromString)(requests, **kwargs)


@pytest.fixture
def client(tiny, pb):
    c = Client(tiny, pb)
    yield c
    c.channel.close()


def code_of(call, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as e:
        call(*args, **kwargs)
    return e.value.code(), e.value.details()


# ---- the server and its health ----

def test_live_and_ready(client):
    assert client.call("ServerLive").live is True
    assert client.call("ServerReady").ready is True


def test_health(client, pb):
    h = pb.health
    for service in ("", SERVICE, "grpc.health.v1.Health"):
        answer = client.unary("grpc.health.v1.Health", "Check", h.HealthCheckRequest(service=service),
                              h.HealthCheckResponse)
        assert answer.status == h.HealthCheckResponse.SERVING
    assert code_of(client.unary, "grpc.health.v1.Health", "Check", h.HealthCheckRequest(service="no"),
                   h.HealthCheckResponse) == (grpc.StatusCode.NOT_FOUND, 'there is no service "no"')
    every = client.unary("grpc.health.v1.Health", "List", h.HealthListRequest(), h.HealthListResponse)
    assert every.statuses[SERVICE].status == h.HealthCheckResponse.SERVING
    assert "" in every.statuses


def test_watch_sees_the_end_coming(start, pb):
    d = start("--drain-grace-ms", "1500")
    c, h = Client(d, pb), pb.health
    watch = c.channel.unary_stream("/grpc.health.v1.Health/Watch", h.HealthCheckRequest.SerializeToString,
                                   h.HealthCheckResponse.FromString)
    states, unknown = watch(h.HealthCheckRequest()), watch(h.HealthCheckRequest(service="no"))
    assert next(states).status == h.HealthCheckResponse.SERVING
    assert next(unknown).status == h.HealthCheckResponse.SERVICE_UNKNOWN
    d.signal()
    assert next(states).status == h.HealthCheckResponse.NOT_SERVING
    with pytest.raises(grpc.RpcError) as e:
        next(states)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert d.wait() == 0
    c.channel.close()


# ---- the same descriptions as over HTTP ----

def plain(message):
    """A message as the JSON of HTTP has it: defaults written out, 64-bit numbers as numbers."""
    from google.protobuf import json_format

    def numbers(value, field=None):
        if isinstance(value, dict):
            return {k: v if k == "properties" else numbers(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [numbers(v, field) for v in value]
        number = isinstance(value, str) and field not in ("version", "versions", "string_value") and value.lstrip("-")
        return int(value) if number and number.isdigit() else value

    return numbers(json_format.MessageToDict(message, including_default_value_fields=True,
                                             preserving_proto_field_name=True))


def http_json(daemon, path, method="GET", body=None):
    answer = daemon.request(method, path, body)
    assert answer.status == 200, answer.body
    return answer.json


def test_server_metadata(client, tiny):
    assert plain(client.call("ServerMetadata")) == http_json(tiny, "/v2")


def test_model_metadata_and_ready(client, tiny):
    metadata = client.call("ModelMetadata", name=MODEL)
    assert plain(metadata) == http_json(tiny, f"/v2/models/{MODEL}")
    assert metadata.inputs[0].shape[1:] == [16, 16, 3]
    assert metadata.properties["precision"]
    assert client.call("ModelReady", name=MODEL, version="1").ready is True
    # Triton's server.cc, InferenceServer::ModelIsReady(): what it does not find is not ready, and that is no error
    for unknown in ({"name": "no"}, {"name": MODEL, "version": "9"}, {"name": MODEL, "version": "no"}):
        assert client.call("ModelReady", **unknown).ready is False
    for method in ("ModelMetadata", "ModelConfig", "ModelStatistics"):
        assert code_of(client.call, method, name="no") == (
            grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'no' is not found")
        assert code_of(client.call, method, name=MODEL, version="9")[0] == grpc.StatusCode.NOT_FOUND


def test_model_config(client, tiny):
    theirs = http_json(tiny, f"/v2/models/{MODEL}/config")
    ours = plain(client.call("ModelConfig", name=MODEL).config)
    for tensor in theirs["input"] + theirs["output"]:
        for key in ("is_shape_tensor", "allow_ragged_batch", "optional"):  # not in our messages
            tensor.pop(key, None)
    assert theirs.pop("model_warmup") == []
    assert ours["dynamic_batching"]["default_queue_policy"]["max_queue_size"] > 0
    assert ours == theirs


def test_statistics(client, tiny, pb):
    client.infer(picture_request(pb, PICTURE, pictures.RED))
    ours = client.call("ModelStatistics", name=MODEL)
    assert plain(ours) == http_json(tiny, f"/v2/models/{MODEL}/stats")
    one = ours.model_stats[0]
    assert one.inference_count >= 2 and one.inference_stats.success.count >= 1
    assert one.batch_stats and one.memory_usage[0].byte_size > 0
    assert plain(client.call("ModelStatistics")) == http_json(tiny, "/v2/models/stats")


def test_repository_index(client, tiny):
    index = plain(client.call("RepositoryIndex"))["models"]
    assert index == http_json(tiny, "/v2/repository/index", "POST", "{}")
    assert {m["name"] for m in index} >= {MODEL, "inverse"}


def test_log_settings(client, start, pb, tiny, tmp_path):
    settings = plain(client.call("LogSettings"))["settings"]
    assert {k: next(iter(v.values())) for k, v in settings.items()} == http_json(tiny, "/v2/logging")
    change = pb.inference.LogSettingsRequest()
    change.settings["log_info"].bool_param = False
    answer = pb.inference.LogSettingsResponse
    assert code_of(client.unary, SERVICE, "LogSettings", change, answer)[0] == grpc.StatusCode.PERMISSION_DENIED
    d = start("--admin", "--api-keys", keys_file(tmp_path, "root-5f1c infer,admin", "guest-5f1c infer"))
    c = Client(d, pb)
    unary, guest = c.unary, [("x-api-key", "guest-5f1c")]
    c.unary = lambda *args, **kwargs: unary(*args, **{"metadata": [("authorization", "Bearer root-5f1c")], **kwargs})
    assert code_of(c.unary, SERVICE, "LogSettings", change, answer,
                   metadata=guest)[0] == grpc.StatusCode.PERMISSION_DENIED
    assert c.unary(SERVICE, "LogSettings", change, answer).settings["log_info"].bool_param is False
    assert c.call("LogSettings").settings["log_info"].bool_param is False
    change.settings["log_file"].string_param = "/tmp/x"
    assert code_of(c.unary, SERVICE, "LogSettings", change, answer)[0] == grpc.StatusCode.INVALID_ARGUMENT
    c.channel.close()


# ---- reflection ----

@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(client, pb, version):
    r = pb.reflection
    ask = client.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                       r.ServerReflectionRequest.SerializeToString,
                                       r.ServerReflectionResponse.FromString)
    questions = [r.ServerReflectionRequest(list_services="*")]
    questions += [r.ServerReflectionRequest(file_containing_symbol=s) for s in (
        SERVICE, SERVICE + ".ModelInfer", "inference.ModelInferRequest.InferInputTensor", "inference.DataType",
        "grpc.health.v1.HealthCheckResponse.ServingStatus", "inference.Nothing", "inference", "")]
    questions += [r.ServerReflectionRequest(file_by_filename=f) for f in ("health.proto", "no.proto")]
    questions += [r.ServerReflectionRequest(all_extension_numbers_of_type="x"), r.ServerReflectionRequest()]
    answers = list(ask(iter(questions), timeout=10))
    assert [a.original_request for a in answers] == questions
    names = {s.name for s in answers[0].list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                     "grpc.reflection.v1alpha.ServerReflection"}

    from google.protobuf import descriptor_pb2, descriptor_pool
    files = [a.file_descriptor_response.file_descriptor_proto for a in answers]
    assert [len(f) for f in files] == [0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0]
    assert [a.error_response.error_code for a in answers[6:9]] == [5, 5, 5]
    pool = descriptor_pool.DescriptorPool()
    for data in (files[1][0], files[5][0]):
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(data))
    service = pool.FindServiceByName(SERVICE)
    rpcs = {m.name for m in service.methods}
    assert {"ModelInfer", "ModelStreamInfer", "ServerLive"} <= rpcs


# ---- what is not there ----

def test_unknown_methods(client, pb):
    empty = pb.inference.ServerLiveRequest()
    for service, method in ((SERVICE, "TraceSetting"), (SERVICE, "SystemSharedMemoryStatus"), ("no", "No")):
        code, text = code_of(client.unary, service, method, empty, pb.inference.ServerLiveResponse)
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert text == f"there is no method /{service}/{method}"


# ---- inference ----

def picture_request(pb, *data, outputs=("probabilities",), raw=False, **fields):
    request = pb.inference.ModelInferRequest(**{"model_name": MODEL, **fields})
    tensor = request.inputs.add(name="input", datatype="BYTES", shape=[len(data)])
    if raw:
        request.raw_input_contents.append(b"".join(struct.pack("<I", len(d)) + d for d in data))
    else:
        tensor.contents.bytes_contents.extend(data)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def tensor_request(pb, array, raw=True, outputs=("probabilities",)):
    kind, field = {"uint8": ("UINT8", "uint_contents"), "float32": ("FP32", "fp32_contents")}[str(array.dtype)]
    request = pb.inference.ModelInferRequest(model_name=MODEL)
    tensor = request.inputs.add(name="input", datatype=kind, shape=array.shape)
    if raw:
        request.raw_input_contents.append(array.tobytes())
    else:
        getattr(tensor.contents, field).extend(array.ravel().tolist())
    for name in outputs:
        request.outputs.add(name=name)
    return request


def floats(response, name="probabilities"):
    for output, raw in zip(response.outputs, response.raw_output_contents):
        if output.name == name:
            assert output.datatype == "FP32"
            return np.frombuffer(raw, np.float32).reshape(list(output.shape))
    raise AssertionError(f"no output {name}")


def texts(response, name="classification"):
    for output, raw in zip(response.outputs, response.raw_output_contents):
        if output.name == name:
            assert output.datatype == "BYTES"
            found, at = [], 0
            while at < len(raw):
                size = struct.unpack_from("<I", raw, at)[0]
                found.append(raw[at + 4:at + 4 + size].decode())
                at += 4 + size
            assert len(found) == np.prod(output.shape)
            return found
    raise AssertionError(f"no output {name}")


def over_http(daemon, data, name, **parameters):
    body = {"inputs": [{"name": "input", "datatype": "BYTES", "shape": [1],
                        "data": [base64.b64encode(data).decode()]}],
            "outputs": [{"name": name, "parameters": parameters}]}
    answer = daemon.request("POST", f"/v2/models/{MODEL}/infer", json.dumps(body))
    assert answer.status == 200, answer.body
    return answer.json["outputs"][0]


def test_a_picture_as_over_http(client, tiny, pb):
    request = picture_request(pb, PICTURE, outputs=("probabilities", "logits"), id="my id")
    request.outputs.add(name="classification").parameters["classification"].int64_param = 3
    answer = client.infer(request)
    assert (answer.model_name, answer.model_version, answer.id) == (MODEL, "1", "my id")
    assert [o.name for o in answer.outputs] == ["probabilities", "logits", "classification"]
    for name in ("probabilities", "logits"):
        theirs = over_http(tiny, PICTURE, name)
        assert list(answer.outputs[0].shape) == theirs["shape"]
        assert floats(answer, name).ravel().tolist() == np.array(theirs["data"], np.float32).tolist()
    assert texts(answer) == over_http(tiny, PICTURE, "classification", classification=3)["data"]
    assert np.allclose(floats(answer)[0], tinymodel.scores(COLOUR), atol=2 / 255)


def test_every_form_of_input(client, pb):
    want = floats(client.infer(picture_request(pb, PICTURE)))
    assert (floats(client.infer(picture_request(pb, PICTURE, raw=True))) == want).all()
    bare = picture_request(pb, PICTURE)
    del bare.inputs[0].contents.bytes_contents[:]
    bare.raw_input_contents.append(PICTURE)
    assert (floats(client.infer(bare)) == want).all()
    pixels = np.full((2, 16, 16, 3), COLOUR, np.uint8)
    pixels[1] = (0, 0, 255)
    normal = ((pixels.astype(np.float32) - 128) / 128).astype(np.float32)
    for array in (pixels, normal):
        for raw in (True, False):
            got = floats(client.infer(tensor_request(pb, array, raw)))
            assert got.shape == (2, 4)
            assert (got[0] == want[0]).all()
            assert got[1].argmax() == 3


def test_many_pictures_and_no_model_named(client, pb):
    answer = client.infer(picture_request(pb, pictures.RED, pictures.GREEN, pictures.BLUE, model_name=""))
    assert floats(answer).argmax(axis=1).tolist() == [1, 2, 3]


def test_refusals(client, pb):
    bad = code_of
    invalid, missing = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    assert bad(client.infer, picture_request(pb, PICTURE, model_name="no")) == (
        missing, "Request for unknown model: 'no' is not found")
    assert bad(client.infer, picture_request(pb, PICTURE, model_version="7"))[0] == missing
    assert bad(client.infer, picture_request(pb, b"not a picture"))[0] == invalid
    assert bad(client.infer, picture_request(pb, PICTURE, outputs=("no",)))[0] == invalid
    request = tensor_request(pb, np.zeros((1, 16, 16, 3), np.float32))
    request.inputs[0].shape[1] = -16
    assert bad(client.infer, request) == (invalid, "inputs[0]: the shape has a negative dimension")
    request.inputs[0].shape[1] = 17
    assert bad(client.infer, request)[0] == invalid
    request = tensor_request(pb, np.zeros((1, 16, 16, 3), np.float32))
    request.raw_input_contents[0] = request.raw_input_contents[0][:-4]
    assert bad(client.infer, request)[0] == invalid
    assert bad(client.infer, pb.inference.ModelInferRequest(model_name=MODEL)) == (
        invalid, "request: has no inputs")


def test_bytes_that_are_no_message(client):
    raw = client.channel.unary_unary(f"/{SERVICE}/ModelInfer")
    for garbage in (b"\xff\xff\xff", b"\x0a\xff", b"\x0b\x0c", b"\x2a\x02\x0a\x05"):
        assert code_of(raw, garbage, timeout=10)[0] == grpc.StatusCode.INVALID_ARGUMENT
    check = client.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert code_of(check, b"\x0a\xff", timeout=10)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_compressed_messages(tiny, pb):
    for how in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        c = Client(tiny, pb)
        request = tensor_request(pb, np.zeros((4, 16, 16, 3), np.uint8))
        plain = floats(c.infer(request))
        packed = c.infer(request, compression=how)
        assert (floats(packed) == plain).all()
        c.channel.close()


@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_questions_about_health(client, pb, how):
    h = pb.health
    long = h.HealthCheckRequest(service="n" * 120)  # worth compressing
    watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch", h.HealthCheckRequest.SerializeToString,
                                        h.HealthCheckResponse.FromString)
    states = watch(long, timeout=10, compression=how)
    assert next(states).status == h.HealthCheckResponse.SERVICE_UNKNOWN
    states.cancel()
    code, text = code_of(client.unary, "grpc.health.v1.Health", "Check", long, h.HealthCheckResponse, compression=how)
    assert code == grpc.StatusCode.NOT_FOUND and "n" * 120 in text


def test_metadata_of_an_answer(client, pb):
    call = client.channel.unary_unary(f"/{SERVICE}/ServerLive")
    _, done = call.with_call(b"", timeout=10, metadata=[("x-request-id", "mine-1")])
    assert dict(done.trailing_metadata())["x-request-id"] == "mine-1"


def test_sentences_survive_the_percent(client, pb):
    code, text = code_of(client.infer, picture_request(pb, PICTURE, model_name="ü%20"))
    assert code == grpc.StatusCode.NOT_FOUND
    assert text == "Request for unknown model: 'ü%20' is not found"


# ---- limits, deadlines, those who leave ----

def test_message_over_the_limit(start, pb):
    d = start("--max-body", "100K")
    c = Client(d, pb)
    code, _ = code_of(c.infer, picture_request(pb, b"x" * 200_000))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert c.call("ServerLive").live
    c.channel.close()


def test_deadline(start, pb):
    d = start("--workers", "1")
    c = Client(d, pb)
    code, _ = code_of(c.infer, picture_request(pb, *[SLOW] * 8), timeout=0.05)
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    c.infer(picture_request(pb, PICTURE))
    c.channel.close()


def test_cancel_takes_the_work_back(start, pb):
    d = start("--workers", "1", "--max-batch", "1", "--default-timeout-ms", "86400000")  # none is refused for its deadline
    c = Client(d, pb)
    calls = [c.channel.unary_unary(f"/{SERVICE}/ModelInfer", pb.inference.ModelInferRequest.SerializeToString)
             .future(picture_request(pb, *[SLOW] * 8)) for _ in range(6)]

    def ended(code):
        return d.metric("mobilenetd_requests_total", route=f"/{SERVICE}/ModelInfer", code=code)

    def arrived():
        return d.metric("mobilenetd_images_waiting") + d.metric("mobilenetd_images_total")
    wait_for(lambda: arrived() > 5 * 8)  # the sixth is here: one whose message never came whole is no request
    for call in calls:
        call.cancel()
    wait_for(lambda: ended("200") + ended("499") == 6)
    assert ended("499") and d.metric("mobilenetd_images_total", outcome="gone") >= 8
    c.infer(picture_request(pb, PICTURE))
    c.channel.close()


def test_full_queue(start, pb):
    d = start("--workers", "1", "--queue-limit", "2", "--max-batch", "1")
    c = Client(d, pb)
    calls = [c.channel.unary_unary(f"/{SERVICE}/ModelInfer", pb.inference.ModelInferRequest.SerializeToString)
             .future(picture_request(pb, SLOW)) for _ in range(30)]
    codes = [call.code() for call in calls]
    assert codes.count(grpc.StatusCode.OK) >= 2
    refused = [call for call in calls if call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert len(refused) + codes.count(grpc.StatusCode.OK) == 30 and refused
    assert int(dict(refused[0].trailing_metadata())["grpc-retry-pushback-ms"]) >= 1000
    c.channel.close()


# ---- streams ----

def test_stream_answers_in_order(client, pb):
    n = 100
    colours = [pictures.RED, pictures.GREEN, pictures.BLUE]

    def requests():
        for i in range(n):
            yield picture_request(pb, b"broken" if i % 10 == 7 else colours[i % 3], id=str(i))

    answers = list(client.stream_infer(requests(), timeout=60))
    assert len(answers) == n
    for i, a in enumerate(answers):
        assert a.infer_response.id == str(i)
        assert a.infer_response.parameters["triton_final_response"].bool_param is True
        if i % 10 == 7:
            assert a.error_message
        else:
            assert not a.error_message
            assert floats(a.infer_response).argmax() == i % 3 + 1


def test_parameters_that_are_tritons_own(client, pb):
    """One is known; Triton refuses the others (src/grpc/infer_handler.cc), and so do we."""
    request = picture_request(pb, pictures.GREEN)
    request.parameters["triton_enable_empty_final_response"].bool_param = False
    assert floats(client.infer(request)).argmax() == 2
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    assert floats(client.infer(request)).argmax() == 2
    first, = client.stream_infer(iter([request]), timeout=30)
    assert not first.error_message and first.infer_response.outputs
    request.parameters["triton_enable_empty_final_response"].int64_param = 1
    assert code_of(client.infer, request)[0] == grpc.StatusCode.INVALID_ARGUMENT
    del request.parameters["triton_enable_empty_final_response"]
    request.parameters["triton_other"].bool_param = True
    code, sentence = code_of(client.infer, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "triton_enable_empty_final_response" in sentence


def test_stream_goes_both_ways(client, pb):
    """Each request is sent only when the answer to the last one is here."""
    ask = threading.Semaphore(1)

    def requests():
        for i in range(5):
            ask.acquire()
            yield picture_request(pb, pictures.GREEN, id=str(i))

    for i, a in enumerate(client.stream_infer(requests(), timeout=30)):
        assert a.infer_response.id == str(i)
        ask.release()


def test_stream_with_nothing_in_it(client, pb):
    assert list(client.stream_infer(iter(()), timeout=10)) == []


def test_a_reader_that_sleeps_stops_the_writer(tiny, pb):
    """Nobody reads the answers: the server must stop reading requests, not pile them up."""
    c = Client(tiny, pb)
    sent, total = [0], 1000 if SANITIZED else 3000
    request = picture_request(pb, PICTURE, id="x" * 20_000 * (3000 // total))

    def requests():
        for _ in range(total):
            sent[0] += 1
            yield request

    answers = c.stream_infer(requests(), timeout=300)
    wait_for(lambda: sent[0] > 0)
    stopped_at = -1
    while sent[0] != stopped_at:
        stopped_at = sent[0]
        time.sleep(2)
    assert 0 < stopped_at < total // 2
    assert sum(1 for _ in answers) == total
    c.channel.close()


# ---- the way out ----

def test_drain_finishes_what_is_in_flight(start, pb):
    d = start("--workers", "1")
    c = Client(d, pb)
    call = c.channel.unary_unary(f"/{SERVICE}/ModelInfer", pb.inference.ModelInferRequest.SerializeToString,
                                 pb.inference.ModelInferResponse.FromString).future(picture_request(pb, *[SLOW] * 6))
    idle = c.stream_infer(itertools.chain([picture_request(pb, pictures.RED, model_name="nobody")], iter(threading.Event().wait, True)), timeout=60)
    assert next(idle).error_message  # it is open
    wait_for(lambda: d.metric("mobilenetd_requests_open") >= 2)  # the pictures, and this question
    d.signal()
    assert floats(call.result(timeout=30)).shape == (6, 4)
    with pytest.raises(grpc.RpcError) as e:
        next(idle)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert d.wait() == 0
    c.channel.close()


def test_unix_socket(start, pb, tmp_path):
    path = tmp_path / "grpc.sock"
    start(grpc=f"unix:{path}")
    channel = grpc.insecure_channel(f"unix:{path}")
    assert channel.unary_unary(f"/{SERVICE}/ServerLive")(b"", timeout=10) == b"\x08\x01"
    channel.close()


def test_off(start):
    d = start(grpc="")
    assert "grpc off" in d.log()
