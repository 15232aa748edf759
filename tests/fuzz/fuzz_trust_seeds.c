/* Writes the first inputs of fuzz_trust into a folder: the golden signatures and keys, a statement,
 * policies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n;

static void seed(const char *folder, char kind, const void *data, size_t len)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/seed-%d", folder, n++);
    FILE *f = fopen(path, "wb");
    if (!f) exit(1);
    fputc(kind, f);
    fwrite(data, 1, len, f);
    fclose(f);
}

static void seed_file(const char *folder, char kind, const char *rel)
{
    static char data[1 << 16];
    char path[4096];
    snprintf(path, sizeof path, "%s/trust/%s", GOLDEN_DIR, rel);
    FILE *f = fopen(path, "rb");
    if (!f) exit(1);
    size_t len = fread(data, 1, sizeof data, f);
    fclose(f);
    seed(folder, kind, data, len);
}

static const char minisign_key[] =
    "untrusted comment: minisign public "
    "key\nRWR45Jv2B2zE54IAo9puIKyl+ligzFC296fQkqYRmc5CnMwW1NAFTyoP\n";
static const char minisign_sig[] =
    "untrusted comment: signature from minisign secret key\n"
    "RUR45Jv2B2zE57PJQC1CxQB9Ig4qSuh8CMFrUCKlDdt7QQGOXkvAJOxLmnEzRM6S3GHnwBe74wTS0dF6gvzIH1CJjHdONf"
    "4zWwU=\n"
    "trusted comment: timestamp:1\tfile:f\thashed\n"
    "cKnEcqgSUACM1L9+eEb2Pfe6T8iFVyqlvXu4XOlF4XM2OnscsilZ2xt528t80DGCdtfXtog+2rngDCBpRYWaBw==\n";
static const char statement[] =
    "{\"_type\":\"https://in-toto.io/Statement/"
    "v1\",\"subject\":[{\"name\":\"m\",\"digest\":{\"sha256\":"
    "\"4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358\"}}],"
    "\"predicateType\":\"https://model_signing/signature/"
    "v1.0\",\"predicate\":{\"serialization\":{\"method\":\"files\","
    "\"hash_type\":\"sha256\",\"allow_symlinks\":false,\"ignore_paths\":[\".git\"]},\"resources\":["
    "{\"name\":\"f\","
    "\"algorithm\":\"sha256\",\"digest\":"
    "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}]}}";
static const char policy[] =
    "{\"version\":1,\"unsigned\":\"warn\",\"files\":\"refuse\",\"keys\":{\"jo\":"
    "\"RWR45Jv2B2zE54IAo9puIKyl+ligzFC296fQkqYRmc5CnMwW1NAFTyoP\"},\"rules\":[{\"models\":[\"qwen*"
    "\","
    "\"*:1.5b\"],\"keys\":[\"jo\"],\"unsigned\":\"refuse\"}]}";

int main(int argc, char **argv)
{
    static const char *const curves[] = {"P-256", "P-384", "P-521"};
    if (argc != 2) return 2;
    for (int i = 0; i < 3; i++) {
        char rel[64];
        snprintf(rel, sizeof rel, "%s/model.sig", curves[i]);
        seed_file(argv[1], 'b', rel);
        snprintf(rel, sizeof rel, "%s/key.pub", curves[i]);
        seed_file(argv[1], 'k', rel);
    }
    seed(argv[1], 'k', minisign_key, sizeof minisign_key - 1);
    seed(argv[1], 'b', minisign_sig, sizeof minisign_sig - 1);
    seed(argv[1], 's', statement, sizeof statement - 1);
    seed(argv[1], 'p', policy, sizeof policy - 1);
    return 0;
}
