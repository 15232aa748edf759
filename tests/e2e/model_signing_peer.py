"""Signs and checks with the PyPI package model-signing, many models in one process, since it takes seconds to start.

Run by a Python that has the package; reads a list of jobs as JSON, prints a list of true or an error's text.
    {"do": "sign"|"verify", "model": PATH, "key": PATH, "signature": PATH, "links": BOOL, "ignore": [PATH]}
"""

import json
import sys

import model_signing


def run(job):
    hashing = model_signing.hashing.Config().set_ignored_paths(
        paths=job.get("ignore", []), ignore_git_paths=True).set_allow_symlinks(job.get("links", False))
    try:
        if job["do"] == "sign":
            model_signing.signing.Config().use_elliptic_key_signer(
                private_key=job["key"]).set_hashing_config(hashing).sign(job["model"], job["signature"])
        else:
            model_signing.verifying.Config().use_elliptic_key_verifier(
                public_key=job["key"]).set_hashing_config(hashing).verify(job["model"], job["signature"])
    except Exception as e:  # any reason to refuse
        return f"{type(e).__name__}: {e}"
    return True


print(json.dumps([run(job) for job in json.load(sys.stdin)]))
