/* Which programs brought a model, for its manifest. */
#include <curl/curl.h>
#include <openssl/crypto.h>

#include "store/store_int.h"

json_t *provenance_stamp(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    return json_pack("{s:s, s:s, s:s}", "hearth", HEARTH_VERSION, "curl", curl ? curl->version : "",
                     "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
}
