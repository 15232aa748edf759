/* Inside of imatrix: the object, and the names that a file holds. */
#ifndef HEARTH_GGUF_IMATRIX_INT_H
#define HEARTH_GGUF_IMATRIX_INT_H

#include "gguf/imatrix.h"

#define IMATRIX_SUMS       ".in_sum2"
#define IMATRIX_COUNTS     ".counts"
#define IMATRIX_DATASETS   "imatrix.datasets"
#define IMATRIX_COUNT      "imatrix.chunk_count"
#define IMATRIX_CHUNK_SIZE "imatrix.chunk_size"
#define IMATRIX_RUN        "hearth.imatrix.run"
#define IMATRIX_RUN_CHUNKS "hearth.imatrix.run_chunks"

enum { IMATRIX_MAX_NAME = 1024 };

struct imatrix {
    struct imatrix_entry **entries; /* [n] */
    size_t n;
    char **datasets; /* [n_datasets] */
    size_t n_datasets;
};

#endif
