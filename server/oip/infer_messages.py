"""The messages of health, metadata and inference.

Names and numbers are those of the protocol:
https://github.com/kserve/open-inference-protocol (gRPC), and of its parameters as Triton has them.
"""

from __future__ import annotations

from typing import Final

MESSAGES: Final[dict[str, str]] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready 1",
    "ModelReadyRequest": """
        string name 1
        string version 2
    """,
    "ModelReadyResponse": "bool ready 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": """
        string name 1
        string version 2
        repeated string extensions 3
    """,
    "ModelMetadataRequest": """
        string name 1
        string version 2
    """,
    "ModelMetadataResponse": """
        string name 1
        repeated string versions 2
        string platform 3
        repeated TensorMetadata inputs 4
        repeated TensorMetadata outputs 5
    """,
    "ModelMetadataResponse.TensorMetadata": """
        string name 1
        string datatype 2
        repeated int64 shape 3
    """,
    "InferParameter": """
        bool bool_param 1 in parameter_choice
        int64 int64_param 2 in parameter_choice
        string string_param 3 in parameter_choice
        double double_param 4 in parameter_choice
        uint64 uint64_param 5 in parameter_choice
    """,
    "InferTensorContents": """
        repeated bool bool_contents 1
        repeated int32 int_contents 2
        repeated int64 int64_contents 3
        repeated uint32 uint_contents 4
        repeated uint64 uint64_contents 5
        repeated float fp32_contents 6
        repeated double fp64_contents 7
        repeated bytes bytes_contents 8
    """,
    "ModelInferRequest": """
        string model_name 1
        string model_version 2
        string id 3
        map InferParameter parameters 4
        repeated InferInputTensor inputs 5
        repeated InferRequestedOutputTensor outputs 6
        repeated bytes raw_input_contents 7
    """,
    "ModelInferRequest.InferInputTensor": """
        string name 1
        string datatype 2
        repeated int64 shape 3
        map InferParameter parameters 4
        InferTensorContents contents 5
    """,
    "ModelInferRequest.InferRequestedOutputTensor": """
        string name 1
        map InferParameter parameters 2
    """,
    "ModelInferResponse": """
        string model_name 1
        string model_version 2
        string id 3
        map InferParameter parameters 4
        repeated InferOutputTensor outputs 5
        repeated bytes raw_output_contents 6
    """,
    "ModelInferResponse.InferOutputTensor": """
        string name 1
        string datatype 2
        repeated int64 shape 3
        map InferParameter parameters 4
        InferTensorContents contents 5
    """,
    "ModelStreamInferResponse": """
        string error_message 1
        ModelInferResponse infer_response 2
    """,
}

#: Reads of a request who is asked. All other fields are unknown to it, and passed over.
GLANCE: Final[dict[str, str]] = {
    "Glance": """
        string model_name 1
        string model_version 2
    """,
}
