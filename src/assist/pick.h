/* From what a model wrote to what belongs in the hole: cut by the rules, made to parse, and where
 * that is asked for compared with other answers. One place for all that fills holes: hearth
 * complete, the editors' server, the endpoints. */
#ifndef HEARTH_ASSIST_PICK_H
#define HEARTH_ASSIST_PICK_H

#include "assist/choose.h"

/* Whether several answers can be compared in this hole at all, and with these techniques. */
bool pick_may_choose(const struct trim_hole *h, const struct fim_template *f, unsigned without);

struct pick {
    const char *text; /* in the input's `whole` or in `chosen` */
    size_t len;
    enum trim_rule rule; /* that cut the first answer */
    bool chosen_other;   /* another answer than the first one */
    struct choose_result chosen;
};

/* `in` is filled but for its cut. `at_once`: the model said that the hole is full before a rule
 * did. `lines_more`: some were read past the first cut, for it to parse. `compare`: other answers
 * may be looked at; in->base is not used otherwise. The result points into itself and `in`. */
enum status pick_answer(const struct choose_input *in, bool at_once, bool lines_more, bool compare,
                        struct pick *out, struct error *err);

#endif
