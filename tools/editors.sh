#!/bin/sh
# Fetches what tests/editors needs, every version and hash pinned, and runs its tests of VS Code and of the protocol:
#
#   tools/editors.sh vscode [FOLDER]      the extension in VS Code, in a browser; screenshots go to FOLDER
#   tools/editors.sh lsp                  `hearth lsp` by the official client libraries
#
# Needs Node 22 and npm; vscode needs Chromium (CHROMIUM, else /usr/bin/chromium) and code-server (CODE_SERVER: the
# program, or the npm package's out/node/entry.js), and HEARTH_HOME with qwen2.5-coder:0.5b.
set -eu
cd "$(dirname "$0")/.."

what=${1:?"what: vscode or lsp"}
pictures=${2:+$(realpath "$2")}
for command in node npm; do
    command -v "$command" >/dev/null || {
        echo "editors: $command is missing; install Node 22 and npm" >&2
        exit 1
    }
done
case $(node --version) in
v2[2-9].* | v[3-9]?.*) ;;
*)
    echo "editors: Node $(node --version) is too old for puppeteer-core: 22 is needed" >&2
    exit 1
    ;;
esac

from=tests/editors
stamp=$from/node_modules/.hearth
wanted=$(cat $from/package.json $from/package-lock.json | sha256sum)
if [ ! -f $stamp ] || [ "$(cat $stamp)" != "$wanted" ]; then
    (cd $from && npm ci --silent)
    echo "$wanted" >$stamp
fi

if [ "$what" = vscode ]; then
    command -v "${CODE_SERVER:-code-server}" >/dev/null || [ -f "${CODE_SERVER:-}" ] || {
        echo "editors: code-server is missing: npm install -g code-server, or set CODE_SERVER" >&2
        exit 1
    }
    (
        cd editors/vscode
        [ -d node_modules ] || npm ci --silent
        npm run --silent build
        npm run --silent package
    )
    for test in vscode hostile; do
        node $from/$test.mjs ${pictures:+"$pictures"}
    done
else
    node $from/lsp.mjs
fi
