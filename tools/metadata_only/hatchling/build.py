"""Stands in for the build system of the package in tools/schema-suite-source.txt, as its neighbour does."""

from scikit_build_core.build import build_wheel, prepare_metadata_for_build_wheel  # noqa: F401
