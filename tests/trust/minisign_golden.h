/* Made by make_minisign_golden.py: the program minisign's keys and signatures of the bytes "hi\n". */
static const char golden_public[] =
    "untrusted comment: minisign public key E7C46C07F69BE478\n"
    "RWR45Jv2B2zE54IAo9puIKyl+ligzFC296fQkqYRmc5CnMwW1NAFTyoP\n";
static const char golden_secret[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAeOSb9gdsxOcGqf04IUP+7YJiNacXYYqfUWlCZetbmbp8GILa8LOVdYIAo9puIKyl+ligzFC296fQkqYRmc5CnMwW1NAFTyoPAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
static const char golden_hashed[] =
    "untrusted comment: signature from minisign secret key\n"
    "RUR45Jv2B2zE57PJQC1CxQB9Ig4qSuh8CMFrUCKlDdt7QQGOXkvAJOxLmnEzRM6S3GHnwBe74wTS0dF6gvzIH1CJjHdONf4zWwU=\n"
    "trusted comment: timestamp:1795622613\tfile:f\thashed\n"
    "cKnEcqgSUACM1L9+eEb2Pfe6T8iFVyqlvXu4XOlF4XM2OnscsilZ2xt528t80DGCdtfXtog+2rngDCBpRYWaBw==\n";
static const char golden_legacy[] =
    "untrusted comment: signature from minisign secret key\n"
    "RWR45Jv2B2zE53Umx4Id7DTI6czw6JOlewyNay0F6IZs+4igv7ciS1pldL8ExD/Drt0UM6yxTNL/Q1+kF60d7nuuj7LZE0qm2wY=\n"
    "trusted comment: timestamp:1795622613\tfile:f\n"
    "dQdR33j1gD3DkXEXK9povaG1DKCWVjluDFrA2CND5lNPYy0dVBvlFh52WcKY2gbZeayzPt7McA4kw7fSepFXBg==\n";
static const char golden_sealed[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWRTY0IyAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAAgAAAAAAAAAAAEAAAAADWVF3+pz2HMBipDim50I4O3fB2/Qsi23rafnLcyuWGsP0LFgCRP8pJCi4D+13szIQBm2HUWdFoGq15cW3zAijvXRW1Rc0rj96Z8SP+C+EmRr59I+rgvcR2Pl+JQWA9RM4fKcsDnJ7TU=\n";
static const char golden_greedy[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWRTY0IyAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAAAAAAEAAAAAAAAAIAAAeOSb9gdsxOcGqf04IUP+7YJiNacXYYqfUWlCZetbmbp8GILa8LOVdYIAo9puIKyl+ligzFC296fQkqYRmc5CnMwW1NAFTyoPpHvkBbiVbrdt5+W7lMglRyVSNLOq8cLbY8Ni3kO0eDY=\n";
