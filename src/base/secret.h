/* Files that by their name hold keys or passwords: an assistant reads none of them unasked. */
#ifndef HEARTH_BASE_SECRET_H
#define HEARTH_BASE_SECRET_H

#include <stdbool.h>

/* .env, *.pem, id_rsa, credentials, ..., in any case of letters, and whatever lies in a folder such as
 * .ssh or .aws. Public keys (*.pub) are none. Looks at the name alone; any thread. */
bool secret_path(const char *path);

/* The same, and every name with "secret" in it: for what leaves the project folder or is asked for by
 * name, where source code such as secrets.py can be spared. */
bool secret_path_broad(const char *path);

#endif
