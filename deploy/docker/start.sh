#!/usr/bin/env bash
# Makes Docker answer: does nothing where it does already, else installs it (Debian, as root) and starts the daemon
# detached from this terminal. Bounded: it ends with Docker answering or with an error that says why not.
set -euo pipefail

say() { echo "docker: $*" >&2; }
die() { say "$*"; exit 1; }

answers() { timeout 5 docker info >/dev/null 2>&1; }

install_docker() {
  [[ -r /etc/debian_version ]] && command -v apt-get >/dev/null ||
    die 'Docker is not installed, and this script knows only Debian and its kin. Install Docker Engine by your system'\''s means, or use --kafka embedded.'
  [[ $EUID -eq 0 ]] || die 'Docker is not installed; installing it needs root. Run: sudo make docker'
  say 'installing docker.io and iptables'
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || say 'apt-get update failed; trying with the lists that are there'
  apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null || die 'apt-get install docker.io iptables failed'
}

# A pid file whose process is gone, or is another program by now, keeps dockerd from starting.
drop_stale_pid() {
  local file=/var/run/docker.pid pid
  [[ -f $file ]] || return 0
  pid=$(<"$file")
  if [[ $pid =~ ^[0-9]+$ ]] && [[ $(cat "/proc/$pid/comm" 2>/dev/null || true) == dockerd ]]; then
    say "a daemon is starting already (pid $pid)"
    return 1
  fi
  say 'removing the pid file of a dead daemon'
  rm -f "$file"
}

start_daemon() {
  [[ $EUID -eq 0 ]] || die 'Docker is installed but does not answer. Start it (sudo systemctl start docker, or sudo make docker), and be in the group docker.'
  # Where systemd runs, the service is its business.
  if [[ -d /run/systemd/system ]] && systemctl start docker 2>/dev/null; then
    return
  fi
  if drop_stale_pid; then
    log=$(mktemp -d "${TMPDIR:-/tmp}/ksim-docker.XXXXXX")/dockerd.log
    say "starting dockerd; its log: $log"
    setsid dockerd >"$log" 2>&1 </dev/null &
    daemon=$!
    disown "$daemon"
  fi
}

await() {
  local deadline=$((SECONDS + 60))
  until answers; do
    if [[ -n $daemon ]] && ! kill -0 "$daemon" 2>/dev/null; then
      tail -n 20 "$log" >&2
      die 'dockerd ended (above: the end of its log). In a container it needs --privileged. Without Docker: --kafka embedded.'
    fi
    if ((SECONDS > deadline)); then
      [[ -z $log ]] || tail -n 20 "$log" >&2
      die 'Docker did not answer within 60 s. Without it: --kafka embedded.'
    fi
    sleep 0.5
  done
}

daemon='' log=''
if answers; then
  say "answers already (version $(docker version --format '{{.Server.Version}}'))"
  exit 0
fi
# A daemon elsewhere is not ours to start.
[[ -z "${DOCKER_HOST-}" ]] || die "DOCKER_HOST=$DOCKER_HOST does not answer. Start that daemon, or unset DOCKER_HOST."
# The client comes in a package of its own in newer Debian releases.
if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
  install_docker
  command -v docker >/dev/null || apt-get install -y -qq --no-install-recommends docker-cli >/dev/null || die 'apt-get install docker-cli failed'
fi
answers || start_daemon # installing may have started it
await
say "answers (version $(docker version --format '{{.Server.Version}}'))"
