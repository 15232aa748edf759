"""Stands in for the build system of the packages in tools/grammars.txt.

pip asks a source package for its name and version before it keeps the download. The real build system
runs their setup.py for that; nothing is built here, so this answers with what the package itself says in
PKG-INFO. Only grammars.py puts it on the path, for that one download.
"""

from email.parser import HeaderParser
from pathlib import Path


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text = Path("PKG-INFO").read_text(encoding="utf-8")
    facts = HeaderParser().parsestr(text)
    folder = f"{facts['Name'].replace('-', '_')}-{facts['Version']}.dist-info"
    target = Path(metadata_directory, folder)
    target.mkdir()
    (target / "METADATA").write_text(text, encoding="utf-8")
    return folder


def build_wheel(*args, **kwargs):
    raise RuntimeError("nothing is built from this package")
