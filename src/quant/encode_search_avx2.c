/* The searches for CPUs with AVX2. */
#define SEARCH quant_search_avx2
#include "quant/encode_search_tmpl.h"
