#define V_VNNI
#include "kern/cpu/v_avx2.h"

#define KERN_TABLE kern_ops_avxvnni
#define KERN_NAME  "avxvnni"
#include "kern/cpu/kernels_tmpl.h"
