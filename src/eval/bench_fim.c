/* The benchmark "fim": code that is missing in the middle of a file. */
#include <string.h>

#include "eval/fim_holes.h"
#include "eval/problems.h"

enum { PER_KIND = 20 };

static enum status make(const struct eval_request *rq, struct eval_set *out, struct error *err)
{
    enum status st = eval_kinds_check(rq->kinds, rq->repo ? fim_repo_kinds : fim_kinds, err);
    if (st) return st;
    if (rq->repo && rq->half != EVAL_ALL)
        return error_set(err, ERR_INVALID, "halves are of problems, not of a folder");
    if (rq->repo)
        return fim_holes_of_folder(rq->repo, rq->kinds, rq->limit ? rq->limit : PER_KIND, rq->seed,
                                   out, err);
    st = eval_problems_read(rq->tasks, rq->half, out, err);
    if (st == OK) st = fim_holes_of_problems(rq->kinds, rq->seed, out, err);
    return st ? st : eval_set_limit(out, rq->limit, rq->seed, err);
}

extern const struct eval_bench eval_fim;
const struct eval_bench eval_fim = {
    .name = "fim",
    .summary = "fill in the middle: lines, blocks and spans masked in code",
    .kinds = fim_kinds,
    .repo_kinds = fim_repo_kinds,
    .make = make,
};
