/* Writes the samples of tests/golden/syntax as inputs, each behind its language's number. */
#include <stdio.h>

#include "base/file.h"
#include "syntax/language.h"

int main(int argc, char **argv)
{
    static const char *const extensions[] = {"c",  "cpp", "py",  "js",   "ts",  "tsx",  "go",
                                             "rs", "java", "cs", "rb",   "php", "sh",   "lua",
                                             "sql", "html", "css", "json", "yaml", "toml", "md"};
    if (argc != 2) return 2;
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        char path[512], out[512];
        struct buf b;
        struct error err;
        unsigned char number = 0;
        snprintf(path, sizeof path, GOLDEN_DIR "/syntax/sample.%s", extensions[i]);
        snprintf(out, sizeof out, "%s/sample-%s", argv[1], extensions[i]);
        const struct syntax_language *l = syntax_language_of(path, NULL, 0);
        while (syntax_language_at(number) != l) number++;
        buf_init(&b, 1 << 20);
        if (buf_append(&b, &number, 1) || file_read_all(path, &b, &err) ||
            file_replace(out, b.data, b.len, &err))
            return 1;
        buf_fini(&b);
    }
    return 0;
}
