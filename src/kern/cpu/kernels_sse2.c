#include "kern/cpu/v_scalar.h"

#define KERN_TABLE kern_ops_sse2
#define KERN_NAME  "sse2"
#include "kern/cpu/kernels_tmpl.h"
