/* A session that says what a test wrote down, in place of infer's. */
#ifndef HEARTH_TESTS_ASSIST_FAKE_ENGINE_H
#define HEARTH_TESTS_ASSIST_FAKE_ENGINE_H

#include "infer/engine.h"

struct session {
    size_t n_ctx;
    const int32_t *script; /* tokens to generate, stop tokens among them */
    size_t n_script;
    bool repeat;      /* start the script again at its end instead of stopping */
    double token_ms;  /* pretended time for a token, against the deadline */
    enum status fail; /* returned instead of generating */
    /* what the session holds, and what session_prepare put beside it */
    int32_t held[16384], spare[16384];
    size_t n_held, n_spare;
    size_t prepare_limit; /* tokens that session_prepare gets done; 0 = all */
    /* Branches: what each one writes (NULL: there are none, ERR_CANCELLED), and a text that makes
     * an answer likely. */
    const char *const *branches;
    size_t n_branches;
    const char *likes;
    /* seen */
    int32_t prompt[8192];
    size_t n_prompt, n_given;
    char begin[64];
    double deadline_ms;
};

#endif
