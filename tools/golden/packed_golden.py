#!/usr/bin/env python3
"""Writes tests/golden/packed: small matrices packed by AutoGPTQ and AutoAWQ, and what those unpack.

The packers' own code does the packing and the unpacking: QuantLinear.pack() and forward() of AutoGPTQ
0.7.1, WQLinear_GEMM.from_linear() and dequantize_gemm() of AutoAWQ 0.2.9, with the scales as float32, so
that the products are exact. Both are read as single files, since the packages want a GPU.

NAME.safetensors holds the packed tensors as a model's; packed.json, for each of them, the quantization
config, the shape, the SHA-256 of the float32 weights (row-major [out, in]), and the GGUF type expected.

Usage: packed_golden.py AUTO_GPTQ AUTO_AWQ     the unpacked packages' folders (auto_gptq/, awq/ in them)
"""
import hashlib
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent.parent / "tests/golden/packed"
ROWS, COLS = 32, 128

# name: bits, group size, symmetric, act order, v2, type expected, type with --exact
GPTQ = {
    "gptq-4-sym": (4, 32, True, False, False, "Q4_0", "Q4_0"),
    "gptq-4-asym": (4, 32, False, False, False, "Q4_1", "Q5_0"),
    "gptq-4-v2": (4, 64, False, False, True, "Q4_1", "Q5_0"),
    "gptq-4-all": (4, -1, True, False, False, "Q4_0", "Q4_0"),
    "gptq-4-act": (4, 32, True, True, False, "Q8_0", "F16"),
    "gptq-2": (2, 32, False, False, False, "Q4_0", "Q4_0"),
    "gptq-3": (3, 32, False, False, False, "Q4_0", "Q4_0"),
    "gptq-3-v2": (3, 128, False, False, True, "Q4_0", "Q4_0"),
    "gptq-8-sym": (8, 64, True, False, False, "Q8_0", "Q8_0"),
    "gptq-8-asym": (8, 32, False, False, False, "Q8_0", "F16"),
}
AWQ = {"awq-4": (32, "Q4_1", "Q5_0"), "awq-4-all": (128, "Q4_1", "Q5_0")}


def load(path, name, **stubs):
    for stub, attributes in stubs.items():
        module = types.ModuleType(stub.replace("__", "."))
        module.__dict__.update(attributes)
        sys.modules[module.__name__] = module
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grid(rng, groups, bits, sym):
    """Scales [out, groups], exact halves, and zero points within what both conventions store."""
    scales = (rng.integers(200, 2000, (ROWS, groups)) / 2.0 ** (14 + bits)).astype(np.float16)
    zeros = rng.integers(1, 1 << bits, (ROWS, groups))
    if sym:
        zeros[:] = 1 << (bits - 1)
    return torch.from_numpy(scales.astype(np.float32)), torch.from_numpy(zeros.astype(np.float32))


def weights(rng, bits, scales, zeros, g_idx):
    q = torch.from_numpy(rng.integers(0, 1 << bits, (ROWS, COLS)).astype(np.float32))
    q[:, 0], q[:, 1] = 0, (1 << bits) - 1  # the ends are always there
    return (q - zeros[:, g_idx]) * scales[:, g_idx]


def gptq(module, rng, bits, group, sym, act, v2):
    size = COLS if group == -1 else group
    groups = COLS // size
    g_idx = torch.arange(COLS) // size
    if act:
        g_idx = g_idx[torch.from_numpy(rng.permutation(COLS))]
    scales, zeros = grid(rng, groups, bits, sym)
    linear = torch.nn.Linear(COLS, ROWS, bias=False)
    linear.weight.data = weights(rng, bits, scales, zeros, g_idx)
    q = module.QuantLinear(bits, group, COLS, ROWS, False, kernel_switch_threshold=128)
    q.pack(linear, scales.clone(), zeros.clone(), g_idx.to(torch.int32))
    q.autogptq_cuda_available = False
    q.scales = q.scales.float()
    with torch.no_grad():
        unpacked = q(torch.eye(COLS)).T.contiguous()
    assert torch.equal(unpacked, linear.weight.data), "the packer does not return what it was given"
    qzeros = q.qzeros
    if v2:  # the zero points themselves, in the same packing
        z = q.qzeros.numpy().view(np.uint32)
        ints = zeros.T.contiguous().numpy().astype(np.uint64)
        words = np.zeros(z.shape, dtype=np.uint64)
        for row in range(z.shape[0]):
            value = sum(int(v) << (bits * i) for i, v in enumerate(ints[row]))
            words[row] = [(value >> (32 * i)) & 0xffffffff for i in range(z.shape[1])]
        qzeros = torch.from_numpy(words.astype(np.uint32).view(np.int32))
    return {"qweight": q.qweight, "qzeros": qzeros, "scales": q.scales.half(),
            "g_idx": q.g_idx.to(torch.int32)}, unpacked


def awq(module, unpack, rng, group):
    groups = COLS // group
    g_idx = torch.arange(COLS) // group
    scales, zeros = grid(rng, groups, 4, False)
    linear = torch.nn.Linear(COLS, ROWS, bias=False)
    linear.weight.data = weights(rng, 4, scales, zeros, g_idx)
    q = module.WQLinear_GEMM.from_linear(linear, 4, group, scales=scales.T.contiguous(),
                                         zeros=zeros.T.contiguous())
    unpacked = unpack.dequantize_gemm(q.qweight, q.qzeros, q.scales.float(), 4, group).T.contiguous()
    assert torch.equal(unpacked, linear.weight.data), "the packer does not return what it was given"
    return {"qweight": q.qweight, "qzeros": q.qzeros, "scales": q.scales}, unpacked


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    gptq_dir, awq_dir = map(Path, sys.argv[1:])
    gptq_module = load(gptq_dir / "auto_gptq/nn_modules/qlinear/qlinear_cuda.py", "qlinear_cuda")
    unpack = load(awq_dir / "awq/utils/packing_utils.py", "awq.utils.packing_utils", awq={}, awq__utils={})
    sys.modules["awq.utils.packing_utils"] = unpack
    awq_module = load(awq_dir / "awq/modules/linear/gemm.py", "gemm",
                      awq__utils__module=dict(try_import=lambda name: (None, "")),
                      awq__utils__utils=dict(get_best_device=lambda: "cpu"))
    OUT.mkdir(parents=True, exist_ok=True)
    index = {}

    def keep(name, tensors, unpacked, config, types):
        base = "model.layers.0.self_attn.v_proj."
        save_file({base + k: v.contiguous() for k, v in tensors.items()}, OUT / f"{name}.safetensors")
        digest = hashlib.sha256(unpacked.numpy().astype("<f4").tobytes()).hexdigest()
        index[name] = {"config": config, "shape": [ROWS, COLS], "sha256": digest, "type": types[0],
                       "type_exact": types[1]}

    for i, (name, (bits, group, sym, act, v2, *kinds)) in enumerate(GPTQ.items()):
        tensors, unpacked = gptq(gptq_module, np.random.default_rng(i), bits, group, sym, act, v2)
        keep(name, tensors, unpacked, {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym,
                                       "desc_act": act, "checkpoint_format": "gptq_v2" if v2 else "gptq"}, kinds)
    for i, (name, (group, *kinds)) in enumerate(AWQ.items()):
        tensors, unpacked = awq(awq_module, unpack, np.random.default_rng(100 + i), group)
        keep(name, tensors, unpacked, {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True,
                                       "version": "gemm"}, kinds)
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in index.items())
    (OUT / "packed.json").write_text("{\n" + lines + "\n}\n")
    print(f"{len(index)} matrices")


if __name__ == "__main__":
    main()
