#include "kern/cpu/v_avx2.h"

#define KERN_TABLE kern_ops_avx2
#define KERN_NAME  "avx2"
#include "kern/cpu/kernels_tmpl.h"
