/* Writes the first inputs of fuzz_tokenizer_import into a folder: one small tokenizer of each kind. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG = 0, MODEL_CONFIG = 1, VOCAB_TXT = 4, MERGES = 5, VOCAB_JSON = 6, SPM = 7, JSON = 8, N = 9 };

struct seed {
    uint8_t first;
    const char *files[N];
};

#define ADDED "\"added_tokens\": [{\"id\": 9, \"content\": \"[CLS]\", \"special\": true}, {\"id\": 10, \"content\": \"<s>\"}]"
#define POST                                                                                          \
    "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"[CLS]\"}}," \
    "{\"Sequence\": {\"id\": \"A\"}}], \"pair\": [{\"SpecialToken\": {\"id\": \"[CLS]\"}}, {\"Sequence\": {\"id\": \"A\"}}," \
    "{\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"B\"}}]}"

static const struct seed seeds[] = {
    {3, {[CONFIG] = "{\"eos_token\": \"<s>\", \"add_bos_token\": true, \"chat_template\": \"x\"}",
         [MODEL_CONFIG] = "{\"vocab_size\": 12, \"bos_token_id\": 9}",
         [JSON] = "{" ADDED ", " POST ", \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\","
                  "\"individual_digits\": true}, {\"type\": \"ByteLevel\"}]}, \"model\": {\"type\": \"BPE\", \"vocab\":"
                  "{\"a\": 0, \"b\": 1, \"ab\": 2, \"\u0120\": 3}, \"merges\": [\"a b\", [\"\u0120\", \"a\"]]}}"}},
    {1, {[JSON] = "{" ADDED ", \"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": true}, \"pre_tokenizer\":"
                  "{\"type\": \"BertPreTokenizer\"}, \"model\": {\"type\": \"WordPiece\", \"vocab\": {\"un\": 0, \"##do\": 1}}}"}},
    {1, {[JSON] = "{" ADDED ", \"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"BAAAAAAAAAAA\"},"
                  "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"prepend_scheme\": \"always\"}, \"model\": {\"type\":"
                  "\"Unigram\", \"unk_id\": 0, \"byte_fallback\": true, \"vocab\": [[\"<unk>\", 0], [\"\u2581a\", -1.5]]}}"}},
    {0, {[JSON] = "{\"normalizer\": {\"type\": \"Prepend\"}, \"model\": {\"type\": \"BPE\", \"byte_fallback\": true,"
                  "\"unk_token\": \"<unk>\", \"vocab\": {\"<unk>\": 0, \"<0x0A>\": 1, \"a\": 2, \"aa\": 3}, \"merges\": [\"a a\"]}}"}},
    {0, {[CONFIG] = "{\"added_tokens_decoder\": {\"4\": {\"content\": \"<x>\", \"special\": true}}}",
         [SPM] = "\x0A\x0E\x0A\x05<unk>\x15\x01\x01\x01\x01\x18\x02\x0A\x0A\x0A\x03" "abc" "\x15\x01\x01\x80\xBF"
                 "\x0A\x07\x0A\x03\xE2\x96\x81\x18\x04\x12\x02\x18\x02\x1A\x02\x18\x01"}},
    {1, {[VOCAB_TXT] = "[UNK]\nun\n##do\n"}},
    {7, {[VOCAB_JSON] = "{\"a\": 0, \"b\": 1, \"ab\": 2}", [MERGES] = "#version\na b\n"}},
};

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    for (size_t s = 0; s < sizeof seeds / sizeof seeds[0]; s++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%zu", argv[1], s);
        FILE *out = fopen(path, "wb");
        if (!out) return 1;
        fputc(seeds[s].first, out);
        for (size_t i = 0; i < N; i++) {
            size_t n = seeds[s].files[i] ? strlen(seeds[s].files[i]) : 0;
            fputc((int)(n & 255), out);
            fputc((int)(n >> 8), out);
        }
        for (size_t i = 0; i < N; i++)
            if (seeds[s].files[i]) fputs(seeds[s].files[i], out);
        if (fclose(out)) return 1;
    }
    return 0;
}
