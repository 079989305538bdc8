#!/bin/bash
# Turns an Amazon Linux 2023 machine into the producer: the API caller writes CSV files, the Kinesis agent
# sends them to the stream. Runs as root at first boot; running it again changes nothing that is right.
# What it says is in /var/log/cloud-init-output.log and in the instance's console output.
set -euo pipefail
umask 022

readonly AGENT_USER=aws-kinesis-agent-user
readonly AGENT_RPM=https://s3.amazonaws.com/streaming-data-agent/aws-kinesis-agent-latest.amzn2.noarch.rpm
readonly TICKETS=/var/log/airline_tickets
readonly RESULT=/var/lib/airline_tickets/boot-result
STEP='starting'

say() { echo "producer: $*"; }

step() {
  STEP=$1
  say "$STEP"
}

# Says which step failed, to the log and to whoever looks for the result later.
finish() {
  local code=$?
  local text="ok"
  if [ "$code" -ne 0 ]; then
    text="FAILED while $STEP (exit code $code)"
  fi
  mkdir -p "${RESULT%/*}" && echo "$text" >"$RESULT"
  say "$text"
  exit "$code"
}
trap finish EXIT

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
