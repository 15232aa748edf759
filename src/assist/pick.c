#include "assist/pick.h"

#include <string.h>

#include "assist/fit.h"
#include "assist/technique.h"

bool pick_may_choose(const struct trim_hole *h, const struct fim_template *f, unsigned without)
{
    bool behind = h->below || !h->rest_blank;
    return h->mode != TRIM_RAW && behind && f->order != FIM_SPM && !(without & TECHNIQUE_CHOOSE);
}

/* Whether the answer fits, and the model itself found the way back into the text below, its next
 * line included, or said that the hole is full. */
static bool has_met(const struct choose_input *in, bool at_once)
{
    const char *text = in->whole + in->cut.skip;
    size_t len = in->cut.keep - in->cut.skip;
    struct trim_cut look = in->cut;
    if (!(in->without & TECHNIQUE_FAR)) {
        struct trim_hole far;
        trim_look_far(in->hole, &far);
        look = trim_finish(&far, in->whole, in->n_whole, at_once);
    }
    bool met = (look.rule == TRIM_SUFFIX_LINE || look.rule == TRIM_SUFFIX_OVERLAP) &&
               look.keep == in->cut.keep;
    if (!met && !at_once) return false;
    size_t errors = in->without & TECHNIQUE_SYNTAX ? SIZE_MAX : parse_errors(in->parse, text, len);
    if (errors != SIZE_MAX && errors > in->parse->errors) return false;
    return (in->without & TECHNIQUE_FIT) ||
           !fit_misfits(in->hole, fit_by_indent(in->hole, in->file_name), text, len);
}

/* Cuts the answer, or takes more of it, so that the file parses. */
static void fit_syntax(const struct choose_input *in, bool lines_more, struct trim_cut *end)
{
    const char *text = in->whole + end->skip;
    size_t len = end->keep - end->skip;
    if (in->without & TECHNIQUE_SYNTAX) return;
    size_t parses = parse_longest(in->parse, text, len);
    if (lines_more) parses = parse_extend(in->parse, text, in->n_whole - end->skip, parses);
    if (parses == len) return;
    end->keep = end->skip + parses;
    end->rule = TRIM_SYNTAX;
}

enum status pick_answer(const struct choose_input *given, bool at_once, bool lines_more,
                        bool compare, struct pick *out, struct error *err)
{
    struct choose_input in = *given;
    in.cut = trim_finish(in.hole, in.whole, in.n_whole, at_once);
    fit_syntax(&in, lines_more, &in.cut);
    out->rule = in.cut.rule;
    out->text = in.whole + in.cut.skip;
    out->len = in.cut.keep - in.cut.skip;
    out->chosen_other = false;
    out->chosen.n = 0;
    if (!compare || !pick_may_choose(in.hole, in.fim, in.without)) return OK;
    in.met = has_met(&in, at_once);
    enum status st = choose_best(&in, &out->chosen, err);
    const struct choice *best = out->chosen.best;
    if (st || !best) return st;
    if (best->len == out->len && memcmp(best->text, out->text, out->len) == 0) return OK;
    out->text = best->text;
    out->len = best->len;
    out->chosen_other = true;
    return OK;
}
