#!/usr/bin/env bash
# The image: built on bases made here, run as an ordinary user, healthy, reachable, and ended in order.
# Prints PASS or FAIL for each check. The builder's `cargo` hands over the server that is under test.
set -uo pipefail

server="${TIDEGATE_SERVER:?}" scratch="${TIDEGATE_SCRATCH:?}" top="${TIDEGATE_TOP:?}" failed=0
cd "$scratch" || exit 1
daemon="" container=""

# shellcheck disable=SC2329
clean_up() {
  if [[ -n "$container" ]]; then docker rm -f "$container" >/dev/null 2>&1; fi
  if [[ -n "$daemon" ]]; then
    kill "$daemon"; wait "$daemon" 2>/dev/null
    umount "$scratch/docker/exec/netns/default" 2>/dev/null
  fi
}
trap clean_up EXIT

# check NAME EXPECTED ACTUAL: the expected text is a bash pattern.
check() {
  # shellcheck disable=SC2053
  if [[ "$3" == $2 ]]; then echo "PASS $1"; else
    echo "FAIL $1"; printf '  expected: %s\n  got: %s\n' "$2" "$3"; failed=1
  fi
}

# A daemon of our own, so that nothing of this stays on the machine; else the one that there is.
start_daemon() {
  local folder="$scratch/docker"
  mkdir -p "$folder"
  dockerd --data-root "$folder/data" --exec-root "$folder/exec" -p "$folder/pid" -H "unix://$folder/docker.sock" \
    --bridge=none --iptables=false --ip-forward=false > "$folder/log" 2>&1 &
  daemon=$!
  export DOCKER_HOST="unix://$folder/docker.sock"
  for _ in $(seq 100); do if docker info >/dev/null 2>&1; then return 0; fi; sleep 0.1; done
  return 1
}

if [[ $EUID -eq 0 ]] && command -v dockerd >/dev/null && command -v docker >/dev/null; then
  start_daemon || { kill "$daemon" 2>/dev/null; daemon=""; unset DOCKER_HOST; }
fi
if ! docker info >/dev/null 2>&1; then echo "SKIP docker: there is no container engine here"; exit 0; fi
busybox="$(command -v busybox)" || { echo "SKIP docker: there is no static busybox here"; exit 0; }

# The builder: a shell, and a `cargo` that puts the server where cargo would.
mkdir -p builder/bin builder/tmp
cp "$busybox" builder/bin/busybox
for tool in sh cp mkdir; do ln -sf busybox "builder/bin/$tool"; done
cp "$server" builder/tidegate
cat > builder/bin/cargo <<'SH'
#!/bin/sh
[ "$*" = "build --release --locked --bin tidegate" ] || exit 64
[ -f Cargo.lock ] && [ -f crates/tidegate/src/main.rs ] && [ -f sql/demo.sql ] && [ -f tests/main.rs ] || exit 66
mkdir -p target/release && cp /tidegate target/release/tidegate
SH
chmod +x builder/bin/cargo
tar -C builder -c . | docker import - tidegate-test-builder:1 >/dev/null

# The base: the libraries that the server is linked with, and nothing else.
mkdir -p base/tmp
ldd "$server" | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "base$(dirname "$library")" && cp -L "$library" "base$library"
done
tar -C base -c . | docker import - tidegate-test-base:1 >/dev/null

built="$(DOCKER_BUILDKIT=0 docker build -q -f "$top/docker/Dockerfile" --build-arg BUILDER=tidegate-test-builder:1 \
  --build-arg BASE=tidegate-test-base:1 -t tidegate-test:1 "$top" 2>&1)"
check built "*sha256:*" "$built"

# As it comes: by itself, its files on a volume of its own, nothing else to be written.
container="$(docker run -d --network none --read-only --cap-drop ALL --security-opt no-new-privileges tidegate-test:1)"
status=""
for _ in $(seq 300); do
  status="$(docker inspect -f '{{.State.Health.Status}}' "$container" 2>&1)"
  if [[ "$status" != starting ]]; then break; fi
  sleep 0.1
done
check healthy "healthy" "$status"
check ordinary_user "65532:65532" "$(docker inspect -f '{{.Config.User}}' "$container")"
check version "tidegate *" "$(docker exec "$container" /usr/local/bin/tidegate --version)"
docker stop -t 20 "$container" >/dev/null
check stops_in_order "0" "$(docker inspect -f '{{.State.ExitCode}}' "$container")"
docker rm -v "$container" >/dev/null; container=""

# Reached from outside, on a folder of the machine; what it keeps survives the container.
mkdir -p data && chown 65532:65532 data
chmod 755 . data
ask() { timeout 20 psql -X -A -t -h 127.0.0.1 -p "$port" -U admin -d dev -c "$1" 2>&1; }
for round in first second; do
  rm -f data/ports.json
  container="$(docker run -d --network host -v "$scratch/data:/data" tidegate-test:1 \
    serve --sql-listen 127.0.0.1:0 --http-listen 127.0.0.1:0)"
  for _ in $(seq 300); do if [[ -s data/ports.json ]]; then break; fi; sleep 0.1; done
  port="$(sed -n 's/.*"sql": *\([0-9]*\).*/\1/p' data/ports.json 2>/dev/null)"
  if [[ "$round" == first ]]; then
    check written "*INSERT 0 2" "$(ask 'CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)')"
  else
    check kept "2" "$(ask 'SELECT count(*) FROM t')"
  fi
  docker stop -t 20 "$container" >/dev/null; docker rm "$container" >/dev/null; container=""
done
exit $failed
