#include "base/secret.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

static const char *const names[] = {
    ".env",        ".env.*",       "*.env",      "*.pem",       "*.key",     "*.p12",        "*.pfx",
    "*.p8",        "*.ppk",        "*.jks",      "*.keystore",  "*.kdbx",    "*.gpg",        "*.asc",
    "id_rsa*",     "id_dsa*",      "id_ecdsa*",  "id_ed25519*", ".netrc",    "_netrc",       ".pgpass",
    ".npmrc",      ".pypirc",      ".htpasswd",  "credentials", "shadow",    "secrets.y*ml", "secrets.json",
    "credentials.json", "credentials.y*ml", "credentials.ini", "credentials.toml", "*.ovpn", ".dockercfg",
    ".git-credentials",
};
static const char *const folders[] = {".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store"};

static bool in_folder(const char *path)
{
    for (const char *p = path; p;) {
        const char *slash = strchr(p, '/');
        if (!slash) return false;
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
            if (strlen(folders[i]) == (size_t)(slash - p) && memcmp(folders[i], p, (size_t)(slash - p)) == 0)
                return true;
        p = slash + 1;
    }
    return false;
}

bool secret_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t len = strlen(name);
    if (in_folder(path)) return true;
    if (len > 4 && strcmp(name + len - 4, ".pub") == 0) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (fnmatch(names[i], name, FNM_CASEFOLD) == 0) return true;
    return false;
}

bool secret_path_broad(const char *path)
{
    static const char *const system[] = {"/.config/gcloud/", "/proc/", "/dev/", "/sys/"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof system / sizeof *system; i++)
        if (strstr(path, system[i])) return true;
    return secret_path(path) || fnmatch("*secret*", name, FNM_CASEFOLD) == 0 ||
           fnmatch("credentials.*", name, FNM_CASEFOLD) == 0;
}
