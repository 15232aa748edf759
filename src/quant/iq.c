#include "quant/iq.h"

void quant_coded_decode(const struct quant_coded *c, int group, const int8_t values[16],
                        float dst[QUANT_SUPER_BLOCK])
{
    for (int g = 0; g < QUANT_SUPER_BLOCK / group; g++) {
        float scale = c->d * (float)c->scales[g];
        for (int i = g * group; i < (g + 1) * group; i++)
            dst[i] = scale * (float)values[c->index[i]];
    }
}
