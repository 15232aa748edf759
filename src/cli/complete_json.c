#include "cli/complete_json.h"

#include "cli/load.h"

static double per_second(double n, double ms)
{
    return ms > 0 ? cli_round(1e3 * n / ms) : 0;
}

double complete_decode_rate(const struct complete_result *r)
{
    return r->completion_tokens > 1 ? per_second((double)(r->completion_tokens - 1), r->decode_ms)
                                    : 0;
}

static json_t *timings(const struct complete_result *r, double total_ms)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "prepare_ms", cli_round(r->prepare_ms),
                     "prefill_ms", cli_round(r->prefill_ms), "first_token_ms",
                     cli_round(r->first_token_ms), "decode_ms", cli_round(r->decode_ms), "total_ms",
                     cli_round(total_ms), "prefill_tokens_per_second",
                     per_second((double)(r->prompt_tokens - r->cached_tokens), r->prefill_ms),
                     "decode_tokens_per_second", complete_decode_rate(r));
}

json_t *complete_json(const struct complete_result *r, double total_ms)
{
    json_t *times = timings(r, total_ms);
    if (!times) return NULL;
    return json_pack(
        "{s:s%, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:o}", "text",
        r->text, r->len, "prompt_tokens", (json_int_t)r->prompt_tokens, "cached_tokens",
        (json_int_t)r->cached_tokens, "approximate_tokens", (json_int_t)r->shifted_tokens,
        "candidates", (json_int_t)r->n_candidates, "typed_tokens", (json_int_t)r->typed_tokens,
        "completion_tokens", (json_int_t)r->completion_tokens, "reuse",
        complete_reuse_name(r->reuse), "finish_reason", finish_reason_name(r->finish), "stopped_by",
        r->stopped_by, "truncated", r->truncated, "prefix_tokens_dropped",
        (json_int_t)r->prefix_tokens_dropped, "suffix_tokens_dropped",
        (json_int_t)r->suffix_tokens_dropped, "prefix_lines_dropped",
        (json_int_t)r->prefix_lines_dropped, "suffix_lines_dropped",
        (json_int_t)r->suffix_lines_dropped, "timings", times);
}
