/* When to ask: a pause in the typing is an invitation, the gap between two quick keys is not. */
#include "assist/suggest.h"

enum { SHORTEST = 40, LONGEST = 400, UNKNOWN = 75, WORTH = 8 };
/* Of gaps this long a suggestion has its use: a local model's first words come within the gap. */
enum { GAP_ENOUGH = 150 };

/* Somebody who types with gaps of g pauses when g has passed by and half again without a key. Gaps
 * of over a second are pauses themselves and tell nothing of the rhythm. */
double suggest_delay_ms(const double *gaps_ms, size_t n)
{
    double sum = 0;
    size_t used = 0;
    for (size_t i = n; i-- > 0 && used < WORTH;) {
        if (!(gaps_ms[i] >= 0) || gaps_ms[i] > 1000) continue;
        sum += gaps_ms[i];
        used++;
    }
    if (!used) return UNKNOWN;
    if (n && gaps_ms[n - 1] > 1000) return SHORTEST; /* back from a pause: likely to read */
    double mean = sum / (double)used;
    double delay = mean >= GAP_ENOUGH ? SHORTEST : 1.2 * mean;
    return delay < SHORTEST ? SHORTEST : delay > LONGEST ? LONGEST : delay;
}
