"""Names, numbers and types of our .proto files against the tables of the public ones (KServe's Open Inference
Protocol, Triton's extensions, grpc.health.v1, grpc.reflection.v1), read by Google's own library. "*": repeated."""
import pytest

from test_grpc import pb  # noqa: F401

FIELDS = """
ServerLiveResponse: live=1
ServerReadyResponse: ready=1
ModelReadyRequest: name=1 version=2
ModelReadyResponse: ready=1
ServerMetadataResponse: name=1 version=2 extensions=3*
ModelMetadataRequest: name=1 version=2
ModelMetadataResponse: name=1 versions=2* platform=3 inputs=4* outputs=5* properties=6*
ModelMetadataResponse.TensorMetadata: name=1 datatype=2 shape=3*
ModelInferRequest: model_name=1 model_version=2 id=3 parameters=4* inputs=5* outputs=6* raw_input_contents=7*
ModelInferRequest.InferInputTensor: name=1 datatype=2 shape=3* parameters=4* contents=5
ModelInferRequest.InferRequestedOutputTensor: name=1 parameters=2*
ModelInferResponse: model_name=1 model_version=2 id=3 parameters=4* outputs=5* raw_output_contents=6*
ModelInferResponse.InferOutputTensor: name=1 datatype=2 shape=3* parameters=4* contents=5
InferParameter: bool_param=1 int64_param=2 string_param=3 double_param=4 uint64_param=5
InferTensorContents: bool_contents=1* int_contents=2* int64_contents=3* uint_contents=4* uint64_contents=5* fp32_contents=6* fp64_contents=7* bytes_contents=8*
ModelStreamInferResponse: error_message=1 infer_response=2
ModelConfigRequest: name=1 version=2
ModelConfigResponse: config=1
ModelConfig: name=1 platform=2 version_policy=3 max_batch_size=4 input=5* output=6* instance_group=7* default_model_filename=8 dynamic_batching=11 parameters=14* backend=17
ModelInput: name=1 data_type=2 format=3 dims=4* reshape=5
ModelOutput: name=1 data_type=2 dims=3* label_filename=4 reshape=5
ModelDynamicBatching: preferred_batch_size=1* max_queue_delay_microseconds=2 preserve_ordering=3 priority_levels=4 default_priority_level=5 default_queue_policy=6
ModelQueuePolicy: timeout_action=1 default_timeout_microseconds=2 allow_timeout_override=3 max_queue_size=4
ModelStatisticsRequest: name=1 version=2
ModelStatisticsResponse: model_stats=1*
ModelStatistics: name=1 version=2 last_inference=3 inference_count=4 execution_count=5 inference_stats=6 batch_stats=7* memory_usage=8*
StatisticDuration: count=1 ns=2
InferStatistics: success=1 fail=2 queue=3 compute_input=4 compute_infer=5 compute_output=6 cache_hit=7 cache_miss=8
InferBatchStatistics: batch_size=1 compute_input=2 compute_infer=3 compute_output=4
MemoryUsage: type=1 id=2 byte_size=3
RepositoryIndexRequest: repository_name=1 ready=2
RepositoryIndexResponse: models=1*
RepositoryIndexResponse.ModelIndex: name=1 version=2 state=3 reason=4
RepositoryModelLoadRequest: repository_name=1 model_name=2 parameters=3*
RepositoryModelUnloadRequest: repository_name=1 model_name=2 parameters=3*
ModelRepositoryParameter: bool_param=1 int64_param=2 string_param=3 bytes_param=4
LogSettingsRequest: settings=1*
LogSettingsResponse: settings=1*
"""
KINDS = {  # of protobuf: what goes over the wire for fields whose number alone would not tell
    "ModelInferRequest.raw_input_contents": "TYPE_BYTES", "ModelInferRequest.InferInputTensor.shape": "TYPE_INT64",
    "InferTensorContents.int_contents": "TYPE_INT32", "InferTensorContents.uint_contents": "TYPE_UINT32",
    "InferTensorContents.fp32_contents": "TYPE_FLOAT", "InferTensorContents.fp64_contents": "TYPE_DOUBLE",
    "InferParameter.int64_param": "TYPE_INT64", "InferParameter.uint64_param": "TYPE_UINT64",
    "InferParameter.double_param": "TYPE_DOUBLE", "StatisticDuration.ns": "TYPE_UINT64", "MemoryUsage.id": "TYPE_INT64",
    "ModelConfig.max_batch_size": "TYPE_INT32", "ModelInput.dims": "TYPE_INT64", "ModelStatistics.last_inference": "TYPE_UINT64"}
OTHERS = {
    "health": "HealthCheckRequest: service=1\nHealthCheckResponse: status=1\nHealthListResponse: statuses=1*",
    "reflection": "ServerReflectionRequest: host=1 file_by_filename=3 file_containing_symbol=4 file_containing_extension=5 "
                  "all_extension_numbers_of_type=6 list_services=7\n"
                  "ServerReflectionResponse: valid_host=1 original_request=2 file_descriptor_response=4 "
                  "all_extension_numbers_response=5 list_services_response=6 error_response=7\n"
                  "FileDescriptorResponse: file_descriptor_proto=1*\nListServiceResponse: service=1*\n"
                  "ServiceResponse: name=1\nErrorResponse: error_code=1 error_message=2"}


def descriptors(messages, prefix=""):
    """By name, nested ones too, but for entries of maps."""
    for m in messages:
        if not m.GetOptions().map_entry:
            yield prefix + m.name, m
            yield from descriptors(m.nested_types, f"{prefix}{m.name}.")


def numbers_of(message):
    return {f"{f.name}={f.number}" + "*" * (f.label == f.LABEL_REPEATED) for f in message.fields}


@pytest.mark.parametrize("name", ["inference", *OTHERS])
def test_field_numbers(pb, name):  # noqa: F811
    table = OTHERS.get(name, FIELDS)
    have = dict(descriptors(getattr(pb, name).DESCRIPTOR.message_types_by_name.values()))
    for line in table.strip().splitlines():
        message, fields = line.split(": ")
        assert numbers_of(have[message]) == set(fields.split()), message
        for f in have[message].fields:
            kind = KINDS.get(f"{message}.{f.name}") if name == "inference" else None
            assert kind is None or f.type == getattr(f, kind), f.name


def test_enumerations(pb):  # noqa: F811
    types = "INVALID BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 STRING BF16".split()
    assert dict(pb.inference.DataType.items()) == {f"TYPE_{t}": i for i, t in enumerate(types)}
    assert dict(pb.inference.ModelInput.Format.items()) == {"FORMAT_NONE": 0, "FORMAT_NHWC": 1, "FORMAT_NCHW": 2}
    assert dict(pb.health.HealthCheckResponse.ServingStatus.items()) == {
        "UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3}
