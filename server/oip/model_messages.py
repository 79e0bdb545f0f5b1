"""The messages of model configuration, statistics and repository, as Triton's extensions have them.

Of a configuration only what Penstock has is declared; readers take what is absent as unset.
"""

from __future__ import annotations

from typing import Final

ENUMS: Final[dict[str, tuple[str, ...]]] = {
    "DataType": (
        "TYPE_INVALID",
        "TYPE_BOOL",
        "TYPE_UINT8",
        "TYPE_UINT16",
        "TYPE_UINT32",
        "TYPE_UINT64",
        "TYPE_INT8",
        "TYPE_INT16",
        "TYPE_INT32",
        "TYPE_INT64",
        "TYPE_FP16",
        "TYPE_FP32",
        "TYPE_FP64",
        "TYPE_STRING",
        "TYPE_BF16",
    ),
}

_LOG_SETTING: Final = """
    bool bool_param 1 in parameter_choice
    uint32 uint32_param 2 in parameter_choice
    string string_param 3 in parameter_choice
"""

MESSAGES: Final[dict[str, str]] = {
    "ModelConfigRequest": """
        string name 1
        string version 2
    """,
    "ModelConfigResponse": "ModelConfig config 1",
    "ModelConfig": """
        string name 1
        string platform 2
        ModelVersionPolicy version_policy 3
        int32 max_batch_size 4
        repeated ModelInput input 5
        repeated ModelOutput output 6
        ModelDynamicBatching dynamic_batching 11 in scheduling_choice
        map ModelParameter parameters 14
        string backend 17
        ModelTransactionPolicy model_transaction_policy 19
        ModelResponseCache response_cache 24
    """,
    "ModelVersionPolicy": "Specific specific 3 in policy_choice",
    "ModelVersionPolicy.Specific": "repeated int64 versions 1",
    "ModelInput": """
        string name 1
        DataType data_type 2
        repeated int64 dims 4
        bool optional 8
    """,
    "ModelOutput": """
        string name 1
        DataType data_type 2
        repeated int64 dims 3
    """,
    "ModelDynamicBatching": """
        repeated int32 preferred_batch_size 1
        uint64 max_queue_delay_microseconds 2
    """,
    "ModelParameter": "string string_value 1",
    "ModelTransactionPolicy": "bool decoupled 1",
    "ModelResponseCache": "bool enable 1",
    "ModelStatisticsRequest": """
        string name 1
        string version 2
    """,
    "ModelStatisticsResponse": "repeated ModelStatistics model_stats 1",
    "StatisticDuration": """
        uint64 count 1
        uint64 ns 2
    """,
    "InferStatistics": """
        StatisticDuration success 1
        StatisticDuration fail 2
        StatisticDuration queue 3
        StatisticDuration compute_input 4
        StatisticDuration compute_infer 5
        StatisticDuration compute_output 6
        StatisticDuration cache_hit 7
        StatisticDuration cache_miss 8
    """,
    "InferBatchStatistics": """
        uint64 batch_size 1
        StatisticDuration compute_input 2
        StatisticDuration compute_infer 3
        StatisticDuration compute_output 4
    """,
    "ModelStatistics": """
        string name 1
        string version 2
        uint64 last_inference 3
        uint64 inference_count 4
        uint64 execution_count 5
        InferStatistics inference_stats 6
        repeated InferBatchStatistics batch_stats 7
    """,
    "RepositoryIndexRequest": """
        string repository_name 1
        bool ready 2
    """,
    "RepositoryIndexResponse": "repeated ModelIndex models 1",
    "RepositoryIndexResponse.ModelIndex": """
        string name 1
        string version 2
        string state 3
        string reason 4
    """,
    "ModelRepositoryParameter": """
        bool bool_param 1 in parameter_choice
        int64 int64_param 2 in parameter_choice
        string string_param 3 in parameter_choice
        bytes bytes_param 4 in parameter_choice
    """,
    "RepositoryModelLoadRequest": """
        string repository_name 1
        string model_name 2
        map ModelRepositoryParameter parameters 3
    """,
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": """
        string repository_name 1
        string model_name 2
        map ModelRepositoryParameter parameters 3
    """,
    "RepositoryModelUnloadResponse": "",
    "TraceSettingRequest": """
        map SettingValue settings 1
        string model_name 2
    """,
    "TraceSettingRequest.SettingValue": "repeated string value 1",
    "TraceSettingResponse": "map SettingValue settings 1",
    "TraceSettingResponse.SettingValue": "repeated string value 1",
    "LogSettingsRequest": "map SettingValue settings 1",
    "LogSettingsRequest.SettingValue": _LOG_SETTING,
    "LogSettingsResponse": "map SettingValue settings 1",
    "LogSettingsResponse.SettingValue": _LOG_SETTING,
}
