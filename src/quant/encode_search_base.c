#define SEARCH quant_search_base
#include "quant/encode_search_tmpl.h"
