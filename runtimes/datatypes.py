"""The tensor datatypes of the Open Inference Protocol v2, and the numpy types that hold them."""

from __future__ import annotations

from typing import Final

import numpy as np

#: OIP v2 datatype -> numpy dtype. BYTES elements are Python ``bytes`` in an object array.
NUMPY_OF: Final[dict[str, np.dtype[np.generic]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}

#: The reverse of `NUMPY_OF`.
DATATYPE_OF: Final[dict[np.dtype[np.generic], str]] = {
    dtype: datatype for datatype, dtype in NUMPY_OF.items()
}
