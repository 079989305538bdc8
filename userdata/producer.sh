#!/bin/bash
# Turns an Amazon Linux 2023 machine into the producer: the API caller writes CSV files, the Kinesis agent
# sends them to the stream. Runs as root at first boot; running it again changes nothing that is right.
# What it says is in /var/log/cloud-init-output.log and in the instance's console output; the verdict and the end of
# the log go to the SSM parameter that the stack reports from.
set -euo pipefail
umask 022

readonly AGENT_USER=aws-kinesis-agent-user
readonly AGENT_RPM=https://s3.amazonaws.com/streaming-data-agent/aws-kinesis-agent-latest.amzn2.noarch.rpm
readonly TICKETS=/var/log/airline_tickets
readonly STATE=/var/lib/airline_tickets
readonly METADATA=http://169.254.169.254/latest

say() { echo "producer: $*"; }

# The steps run in a process of their own, so what is being done is told by a file.
step() {
  echo "$1" >"$STATE/step"
  say "$1"
}

# Says which step failed: to the log, to a file and to the stack's parameter.
finish() {
  local code=$? text="ok"
  if [ "$code" -ne 0 ]; then
    text="FAILED while $(<"$STATE/step") (exit code $code)"
  fi
  echo "$text" >"$STATE/boot-result"
  say "$text"
  retry report "$text" || say "the verdict is not in the parameter {{ boot_report }}"
  exit "$code"
}

report() {
  local token instance value
  token=$(curl -sfS -m 10 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$METADATA/api/token") || return 1
  instance=$(curl -sfS -m 10 -H "X-aws-ec2-metadata-token: $token" "$METADATA/meta-data/instance-id") || return 1
  # A standard parameter holds 4 KB.
  value=$(printf '%s %s %s\n' "$instance" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" && tail -c 3000 "$STATE/boot-log" | LC_ALL=C tr -cd '\11\12\40-\176')
  aws ssm put-parameter --region '{{ region }}' --name '{{ boot_report }}' --type String --overwrite --value "$value" >/dev/null
}

# The network and the package lock can take a while at first boot.
retry() {
  local attempt
  for attempt in 1 2 3 4 5; do
    if "$@"; then return 0; fi
    say "attempt $attempt failed: $*"
    sleep "${RETRY_SECONDS:-10}"
  done
  return 1
}

# Replaces a file in one step with what comes on standard input.
put() {
  local path=$1 mode=$2
  mkdir -p "${path%/*}"
  cat >"$path.new"
  chmod "$mode" "$path.new"
  mv -f "$path.new" "$path"
}

system_user() {
  getent passwd "$1" >/dev/null || useradd --system --user-group --no-create-home --shell /sbin/nologin "$1"
}

install_agent() {
  rpm -q aws-kinesis-agent >/dev/null 2>&1 || dnf install -y aws-kinesis-agent || dnf install -y "$AGENT_RPM"
}

main() {
  step 'installing the Kinesis agent'
  retry install_agent

  # The package for Amazon Linux 2023 lacks the group that its own service asks for (amazon-kinesis-agent #269).
  # After the package, so that its script finds what it expects.
  step 'completing the users of the agent'
  getent group "$AGENT_USER" >/dev/null || groupadd --system "$AGENT_USER"
  getent passwd "$AGENT_USER" >/dev/null || useradd --system --gid "$AGENT_USER" --no-create-home --shell /sbin/nologin "$AGENT_USER"
  usermod --append --groups "$AGENT_USER" "$AGENT_USER"
  system_user airline-tickets

  step 'preparing the folders'
  # Made again at each boot; ticket files go after a week.
  put /etc/tmpfiles.d/airline_tickets.conf 0644 <<'TMPFILES'
d /run/aws-kinesis-agent 0755 aws-kinesis-agent-user aws-kinesis-agent-user -
d /var/log/aws-kinesis-agent 0755 aws-kinesis-agent-user aws-kinesis-agent-user -
d /var/log/airline_tickets 0755 airline-tickets airline-tickets 7d
TMPFILES
  systemd-tmpfiles --create /etc/tmpfiles.d/airline_tickets.conf
  [ -d "$TICKETS" ]

  step 'writing the configuration of the agent'
  put /etc/aws-kinesis/agent.json 0644 <<'AGENT_JSON'
{% include "agent.json" %}
AGENT_JSON
  python3 -m json.tool /etc/aws-kinesis/agent.json >/dev/null

  step 'installing the API caller'
  put /opt/airline_tickets/api_caller.py 0755 <<'API_CALLER'
{% include "api_caller.py" %}
API_CALLER
  put /etc/airline_tickets/api_caller.env 0644 <<'ENVIRONMENT'
AIRLINE_REGION={{ region }}
AIRLINE_TOKEN_PARAMETER={{ token_parameter }}
ENVIRONMENT
  put /etc/systemd/system/api_caller.service 0644 <<'SERVICE'
{% include "api_caller.service" %}
SERVICE
  put /etc/systemd/system/api_caller.timer 0644 <<'TIMER'
{% include "api_caller.timer" %}
TIMER

  step 'starting the services'
  systemctl daemon-reload
  systemctl enable aws-kinesis-agent.service api_caller.timer
  systemctl restart aws-kinesis-agent.service
  systemctl restart api_caller.timer
}

mkdir -p "$STATE"
trap finish EXIT
step 'starting'
main 2>&1 | tee "$STATE/boot-log"
