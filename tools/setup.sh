#!/bin/sh
# Installs the Debian packages that Hearth needs and this machine lacks.
#
#   tools/setup.sh build            what `make` and `make demo` need
#   tools/setup.sh check            that, and what `make check` needs
#   tools/setup.sh --verify WHAT    install nothing: succeed, or say what is missing
#
# Where everything is there it does nothing and needs no network. It installs as root, or through
# sudo; where it may do neither it prints the one line to type.
set -eu

verify=
if [ "${1:-}" = --verify ]; then
    verify=1
    shift
fi
what=${1:-build}
case $what in
build | check) ;;
*)
    echo "setup: no such set of packages: $what (there are build and check)" >&2
    exit 2
    ;;
esac

missing=

# need PACKAGE TEST...: the package is wanted where the test fails.
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
has_command() { command -v "$1"; }
# pkg-config may itself be missing still; then the package database answers.
has_library() { pkg-config --exists "$1" || dpkg-query -W -f '${Status}' "$2" | grep -q ' installed$'; }
need_library() { need "$2" has_library "$1" "$2"; }

# Grammars (tools/grammars.py) and models come through it.
has_pip() { python3 -m pip --version || command -v pip3 || command -v pip; }

has_clang_runtime() {
    resources=$(clang -print-resource-dir 2>/dev/null) && ls "$resources"/lib/*/*clang_rt.asan*
}

need gcc has_command cc
need libc6-dev test -e /usr/include/stdio.h
need make has_command make
need meson has_command meson
need ninja-build has_command ninja
need pkg-config has_command pkg-config
need python3 has_command python3
need python3-pip has_pip
need_library libcurl libcurl4-openssl-dev
need_library jansson libjansson-dev
need_library libpcre2-8 libpcre2-dev
need_library libutf8proc libutf8proc-dev
need_library libarchive libarchive-dev
need_library sqlite3 libsqlite3-dev
need_library libedit libedit-dev
need_library libcrypto libssl-dev
need_library libseccomp libseccomp-dev
need_library sqlite3 libsqlite3-dev
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt

if [ "$what" = check ]; then
    need_library cmocka libcmocka-dev
    need clang has_command clang
    need libclang-rt-14-dev has_clang_runtime
    need zsh has_command zsh
    need fish has_command fish
    need groff-base has_command groff
    need procps has_command pgrep
    need bubblewrap has_command bwrap
    need openssl has_command openssl
    need minisign has_command minisign
    need python3-venv python3 -c 'import ensurepip, venv'
fi

[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086  # a list of words
set -- $missing

if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: this script knows only Debian's packages. Install what these hold, then run it again: $*" >&2
    exit 1
fi
line="apt-get update && apt-get install -y --no-install-recommends $*"
if [ "$(id -u)" != 0 ]; then line="sudo sh -c '$line'"; fi
if [ -n "$verify" ]; then
    echo "setup: missing packages: $*" >&2
    echo "Run 'make setup', or type: $line" >&2
    exit 1
fi

as_root() { "$@"; }
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || { [ -t 0 ] && [ -t 2 ]; }; }; then
        as_root() { sudo env DEBIAN_FRONTEND=noninteractive "$@"; }
    else
        echo "setup: missing packages: $*" >&2
        echo "They can be installed by root only. Type: $line" >&2
        exit 1
    fi
fi

echo "setup: installing $*" >&2
export DEBIAN_FRONTEND=noninteractive
install_packages() { as_root apt-get install -y -q --no-install-recommends "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An old package list names versions that are gone: update it and try once more.
if install_packages "$@" >"$log" 2>&1 </dev/null; then exit 0; fi
if as_root apt-get update -q >"$log" 2>&1 </dev/null && install_packages "$@" >>"$log" 2>&1 </dev/null; then
    exit 0
fi
tail -n 20 "$log" >&2
echo "setup: could not install $*. By hand: $line" >&2
exit 1
