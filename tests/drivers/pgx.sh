#!/usr/bin/env bash
# pgx against a server: builds pgx/main.go with Debian's packages, without a network, and runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/pgx"

cache="${TIDEGATE_TEST_CACHE:?}/pgx" packages="${TIDEGATE_GOPATH:-/usr/share/gocode}"
command -v go >/dev/null || { echo "SKIP pgx: there is no go"; exit 0; }
[[ -e "$packages/src/github.com/jackc/pgx/v4" ]] || { echo "SKIP pgx: there is no pgx (Debian's golang-github-jackc-pgx-v4-dev)"; exit 0; }
mkdir -p "$cache"
stamp="$(cat main.go <(go version) | sha256sum | cut -d' ' -f1)"
if [[ "$(cat "$cache/.stamp" 2>/dev/null || true)" != "$stamp" ]]; then
  # Warnings of the linker would be taken for results if they stood on the script's output.
  GOPATH="$packages" GO111MODULE=off GOFLAGS="" GOCACHE="$cache/build" go build -o "$cache/pgx" . >&2
  echo "$stamp" > "$cache/.stamp"
fi
exec "$cache/pgx"
