#include "kern/cpu/v_avx512.h"

#define KERN_TABLE kern_ops_avx512
#define KERN_NAME  "avx512"
#include "kern/cpu/kernels_tmpl.h"
