/* The searches for any CPU of the family. */
#define SEARCH quant_search_base
#include "quant/encode_search_tmpl.h"
