#define V_FUSED
#include "kern/cpu/v_scalar.h"

#define KERN_TABLE kern_ops_scalar
#define KERN_NAME  "scalar"
#include "kern/cpu/kernels_tmpl.h"
