/* Templates for files that have none, by the tokens of their vocabulary. The formats are the models' own,
 * as their cards describe them. */
#include <string.h>

#include "text/chat_int.h"

#define EACH "{% for m in messages %}"
#define END  "{% endfor %}"
#define ASK  "{% if add_generation_prompt %}"

static const struct chat_builtin builtins[] = {
    {"chatml", "<|im_start|>", NULL, NULL,
     EACH "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n" END ASK "{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {"llama3", "<|start_header_id|>", NULL, NULL,
     "{{ bos_token }}" EACH "{{ '<|start_header_id|>' ~ m.role ~ '<|end_header_id|>\\n\\n' ~ m.content|trim ~ '<|eot_id|>' }}" END
     ASK "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
    {"gemma", "<start_of_turn>", NULL, NULL,
     "{{ bos_token }}{% set s = namespace(t='') %}" EACH
     "{% if m.role == 'system' %}{% set s.t = m.content|trim ~ '\\n\\n' %}{% else %}"
     "{{ '<start_of_turn>' ~ ('model' if m.role == 'assistant' else 'user') ~ '\\n' ~ s.t ~ m.content|trim ~ '<end_of_turn>\\n' }}"
     "{% set s.t = '' %}{% endif %}" END ASK "{{ '<start_of_turn>model\\n' }}{% endif %}"},
    {"phi3", "<|assistant|>", NULL, NULL,
     EACH "{{ '<|' ~ m.role ~ '|>\\n' ~ m.content ~ '<|end|>\\n' }}" END ASK "{{ '<|assistant|>\\n' }}{% endif %}"},
    {"deepseek", "<｜User｜>", NULL, NULL,
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'assistant' %}"
     "{{ '<｜Assistant｜>' ~ m.content ~ eos_token }}{% else %}{{ '<｜User｜>' ~ m.content }}{% endif %}" END
     ASK "{{ '<｜Assistant｜>' }}{% endif %}"},
    {"llama2", NULL, "llama", NULL,
     "{% set s = namespace(t='') %}" EACH "{% if m.role == 'system' %}"
     "{% set s.t = '<<SYS>>\\n' ~ m.content|trim ~ '\\n<</SYS>>\\n\\n' %}{% elif m.role == 'assistant' %}"
     "{{ ' ' ~ m.content|trim ~ ' ' ~ eos_token }}{% else %}"
     "{{ bos_token ~ '[INST] ' ~ s.t ~ m.content|trim ~ ' [/INST]' }}{% set s.t = '' %}{% endif %}" END},
    {"plain", NULL, NULL, "\nUser:",
     EACH "{{ m.role|capitalize ~ ': ' ~ m.content|trim ~ '\\n' }}" END ASK "Assistant:{% endif %}"},
};

const struct chat_builtin *chat_builtin_for(const struct chat_source *src)
{
    const struct chat_builtin *b = builtins;
    for (;; b++) {
        if (b->token && src->vocab && tokenizer_find(src->vocab, b->token, strlen(b->token)) != TOKEN_NONE) break;
        /* [INST] is no token: only a vocabulary of SentencePiece tells Llama 2 from its successors. */
        if (b->architecture && src->architecture && strcmp(b->architecture, src->architecture) == 0 && src->vocab &&
            strcmp(tokenizer_source(src->vocab)->model, "llama") == 0)
            break;
        if (!b->token && !b->architecture) break;
    }
    return b;
}
