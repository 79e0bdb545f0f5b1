"""Which rule speaks for which operator; of one that is not here nothing is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from . import broadcasting, counting, layout, machine_learning, products, reductions, selection
from .tensor import Tensor

if TYPE_CHECKING:
    from .broadcasting import Arguments, Fresh
    from .counting import Numbers
    from .graph import Node

#: What an operator's outputs are, as far as it is known; raises `NotProven` where it is not.
Rule = Callable[["Node", "Arguments", "Fresh"], list[Tensor]]
#: The elements of its first output, where that is a small tensor of sizes.
NumbersRule = Callable[["Node", "Arguments", "Fresh"], "Numbers | None"]

_MICROSOFT: Final = "com.microsoft"
_ML: Final = "ai.onnx.ml"


def _all(names: frozenset[str] | str, rule: Rule, domain: str = "") -> dict[tuple[str, str], Rule]:
    listed = names.split() if isinstance(names, str) else names
    return {(domain, name): rule for name in listed}


RULES: Final[dict[tuple[str, str], Rule]] = {
    **_all(broadcasting.ELEMENTWISE, broadcasting.elementwise),
    **_all(broadcasting.ELEMENTWISE_MICROSOFT, broadcasting.elementwise, _MICROSOFT),
    **_all(broadcasting.ELEMENTWISE_ML, broadcasting.elementwise, _ML),
    **_all("Cast CastLike", broadcasting.cast),
    **_all("Clip", broadcasting.first_alone),
    **_all("Dropout", broadcasting.dropout),
    **_all("QuantizeLinear DequantizeLinear", broadcasting.quantize),
    **_all("StringNormalizer", broadcasting.string_normalizer),
    **_all(reductions.REDUCTIONS, reductions.reduce),
    **_all("ArgMax ArgMin", reductions.arg_extreme),
    **_all("TopK", reductions.top_k),
    **_all("CumSum", reductions.cumulate),
    **_all("Softmax LogSoftmax Hardmax", reductions.softmax),
    **_all("LpNormalization", reductions.lp_normalization),
    **_all(
        "LayerNormalization SimplifiedLayerNormalization RMSNormalization",
        reductions.layer_normalization,
    ),
    **_all(
        "SkipLayerNormalization SkipSimplifiedLayerNormalization",
        reductions.skip_layer_normalization,
        _MICROSOFT,
    ),
    **_all("InstanceNormalization GroupNormalization LRN", reductions.channels),
    **_all("BatchNormalization", reductions.batch_normalization),
    **_all("MeanVarianceNormalization", reductions.mean_variance),
    **_all(
        "MaxPool AveragePool LpPool GlobalMaxPool GlobalAveragePool GlobalLpPool",
        reductions.pictures,
    ),
    **_all("DepthToSpace SpaceToDepth", reductions.rearranged),
    **_all("MatMul", products.matmul),
    **_all("FusedMatMul", products.fused_matmul, _MICROSOFT),
    **_all("MatMulInteger QLinearMatMul", products.quantized_matmul),
    **_all("Gemm", products.gemm),
    **_all("Conv ConvTranspose ConvInteger QLinearConv", products.convolution),
    **_all("Einsum", products.einsum),
    **_all("RNN GRU LSTM", products.recurrence),
    **_all("Transpose", layout.transpose),
    **_all("Unsqueeze", layout.unsqueeze),
    **_all("Squeeze", layout.squeeze),
    **_all("Flatten", layout.flatten),
    **_all("Reshape", layout.reshape),
    **_all("Expand", layout.expand),
    **_all("ConstantOfShape", layout.constant_of_shape),
    **_all("Tile", layout.tile),
    **_all("Pad", layout.pad),
    **_all("Resize Upsample", layout.resize),
    **_all("Concat", selection.concat),
    **_all("Split", selection.split),
    **_all("Slice", selection.slice_),
    **_all("Gather", selection.gather),
    **_all("GatherElements", selection.gather_elements),
    **_all("GatherND", selection.gather_nd),
    **_all("OneHot", selection.one_hot),
    **_all("Trilu", selection.trilu),
    **_all("Tokenizer", machine_learning.tokenizer, _MICROSOFT),
    **_all("TfIdfVectorizer", machine_learning.term_counter),
    **_all(machine_learning.ESTIMATORS, machine_learning.estimator, _ML),
    **_all(machine_learning.TRANSFORMERS, machine_learning.transformer, _ML),
    **_all("FeatureVectorizer", machine_learning.feature_vectorizer, _ML),
    **_all("ArrayFeatureExtractor", machine_learning.feature_extractor, _ML),
    **_all("OneHotEncoder", machine_learning.one_hot_encoder, _ML),
    **_all("ZipMap", machine_learning.zip_map, _ML),
    **_all("Shape", counting.shape_of),
    **_all("Size", counting.size_of),
    **_all("Constant", counting.constant_value),
}

NUMBERS: Final[dict[str, NumbersRule]] = {
    **dict.fromkeys(("Identity", "Unsqueeze", "Squeeze", "Reshape"), counting.same),
    **dict.fromkeys(("Mul", "Div", "Add", "Sub", "Equal", "Where"), counting.arithmetic),
    "Cast": counting.cast,
    "Gather": counting.select,
    "Slice": counting.cut,
    "Concat": counting.join,
    "ReduceProd": counting.reduce_product,
    "ConstantOfShape": counting.filled,
}

#: Which operand is a shape, so that the number of rows may stand in it.
SHAPE_OPERAND: Final = {"Reshape": 1, "Expand": 1, "Tile": 1, "ConstantOfShape": 0}

#: Take tensors that are padded to the longest row of the run.
TAKE_PADDED: Final = frozenset({"Flatten", "TfIdfVectorizer"})

#: Known to let all elements of a tensor influence each other.
COUPLING: Final = {
    ("", "DynamicQuantizeLinear"): "its scale is that of the whole batch",
    (_MICROSOFT, "DynamicQuantizeMatMul"): "its scale is that of the whole batch",
    (_MICROSOFT, "DynamicQuantizeLSTM"): "its scale is that of the whole batch",
    ("", "Unique"): "it looks for equal elements in all rows",
    ("", "NonZero"): "it lists elements of all rows",
    ("", "Compress"): "it drops elements, so rows move",
}

#: Let rows meet for some values only, or hold steps that are not read: a probe might never meet the
#: values that matter, so none is believed.
HIDING: Final = {
    **{
        ("", name): "its steps may let rows meet for some values" for name in ("If", "Loop", "Scan")
    },
    **{("", name): "it may write into other rows" for name in ("Scatter", "ScatterND")},
    **{
        ("", name): "values decide what it takes from all rows"
        for name in (
            "NonMaxSuppression",
            "RoiAlign",
            "MaxRoiPool",
            "SequenceAt",
            "SequenceErase",
            "SequenceInsert",
            "SequenceMap",
        )
    },
}

#: Of the number of rows, they say something for some numbers only.
COMPARISONS: Final = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})

#: The same in all runs if all operands are, whatever their shape.
CONSTANT: Final = frozenset({"Range", "EyeLike", "NonZero", "Compress", "Unique", "ScatterND"})
