/* Template: one table of operations. A file per instruction set includes its vector vocabulary,
 * defines KERN_TABLE and KERN_NAME, and includes this. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kern/cpu/cpu_tables.h"
#include "kern/kern.h"
#include "kern/pack.h"
#include "quant/blocks.h"

#include "kern/cpu/unpack_tmpl.h"

#include "kern/cpu/matmul_tmpl.h"

#include "kern/cpu/math_tmpl.h"

#include "kern/cpu/vec_tmpl.h"

#include "kern/cpu/activation_tmpl.h"

#include "kern/cpu/attention_tmpl.h"

#include "kern/cpu/kv_tmpl.h"

const struct kern_ops KERN_TABLE = {
    .name = KERN_NAME,
    .act_quantize = ops_act_quantize,
    .matmul = ops_matmul,
    .attention = ops_attention,
    .kv_write = ops_kv_write,
    .hadamard = ops_hadamard,
    .rms_norm = ops_rms_norm,
    .layer_norm = ops_layer_norm,
    .l2_norm = ops_l2_norm,
    .add = ops_add,
    .scale = ops_scale,
    .softcap = ops_softcap,
    .activate = ops_activate,
    .gated = ops_gated,
    .silu_mul = ops_silu_mul,
    .rope = ops_rope,
    .f32_to_f16 = ops_f32_to_f16,
    .dot_panels = ops_dot_panels,
};
