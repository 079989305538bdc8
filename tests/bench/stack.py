"""Writes stacks of a given size for the benchmark: many small streaming applications in one file."""

import pathlib

# One application: a stream, read by a function that writes a table; a second function that publishes to a topic.
CELL = """
  stream_{n}: {{type: kinesis_stream, name: bench-stream-{n}, shard_count: 1}}
  table_{n}:
    type: dynamodb_table
    name: bench-table-{n}
    hash_key: {{name: id, type: S}}
    billing_mode: PAY_PER_REQUEST
  topic_{n}: {{type: sns_topic, name: bench-topic-{n}}}
  writer_logs_{n}: {{type: cloudwatch_log_group, name: /aws/lambda/bench-writer-{n}, retention_in_days: 14}}
  writer_role_{n}:
    type: iam_role
    name: bench-writer-{n}
    service: lambda.amazonaws.com
    grants: [{{read: stream_{n}}}, {{write: table_{n}}}, {{logs: writer_logs_{n}}}]
  writer_{n}:
    type: lambda_function
    name: bench-writer-{n}
    role: ${{writer_role_{n}.arn}}
    runtime: python3.13
    handler: main.handler
    code: code
    environment: {{variables: {{TABLE_NAME: "${{table_{n}.name}}"}}}}
  writer_mapping_{n}:
    type: lambda_event_source_mapping
    event_source_arn: ${{stream_{n}.arn}}
    function_name: ${{writer_{n}.name}}
    starting_position: LATEST
  teller_logs_{n}: {{type: cloudwatch_log_group, name: /aws/lambda/bench-teller-{n}, retention_in_days: 14}}
  teller_role_{n}:
    type: iam_role
    name: bench-teller-{n}
    service: lambda.amazonaws.com
    grants: [{{write: topic_{n}}}, {{logs: teller_logs_{n}}}]
  teller_{n}:
    type: lambda_function
    name: bench-teller-{n}
    role: ${{teller_role_{n}.arn}}
    runtime: python3.13
    handler: main.handler
    code: code
    environment: {{variables: {{TOPIC_ARN: "${{topic_{n}.arn}}"}}}}
"""
RESOURCES_IN_CELL = 10


def write(folder: pathlib.Path, resources: int) -> pathlib.Path:
    """Writes a stack of so many resources, a multiple of ten, and returns its file."""
    cells = range(resources // RESOURCES_IN_CELL)
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "main.py").write_text("def handler(event, context):\n    return None\n")
    file = folder / "stack.yaml"
    text = f"stack: bench-{resources}\nregion: us-east-1\ntags: {{project: bench, env: dev}}\nresources:"
    file.write_text(text + "".join(CELL.format(n=n) for n in cells))
    return file
