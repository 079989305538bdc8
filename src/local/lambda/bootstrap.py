"""Runs one invocation: folder, task root and handler are the arguments."""
import importlib
import json
import os
import sys
import time
import traceback
import uuid

folder, task, handler = sys.argv[1:4]
sys.path.insert(0, task)
sys.stdout = sys.stderr


class Context:
    function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    function_version = "$LATEST"
    invoked_function_arn = os.environ.pop("_LOCAL_FUNCTION_ARN")
    memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
    aws_request_id = str(uuid.uuid4())
    log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
    log_stream_name = time.strftime("%Y/%m/%d/[$LATEST]") + uuid.uuid4().hex
    identity = None
    client_context = None
    _deadline = time.monotonic() + float(os.environ.pop("_LOCAL_TIMEOUT"))

    def get_remaining_time_in_millis(self):
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def failure(error, kind):
    return {
        "failed": True,
        "payload": {
            "errorMessage": str(error),
            "errorType": kind,
            "requestId": Context.aws_request_id,
            "stackTrace": traceback.format_exc().splitlines(),
        },
    }


def run():
    with open(os.path.join(folder, "event.json"), encoding="utf-8") as file:
        event = json.load(file)
    module, _, name = handler.rpartition(".")
    try:
        function = getattr(importlib.import_module(module.replace("/", ".")), name)
    except ImportError as error:
        return failure(f"Unable to import module '{module}': {error}", "Runtime.ImportModuleError")
    except AttributeError:
        return failure(f"Handler '{name}' missing on module '{module}'", "Runtime.HandlerNotFound")
    try:
        answer = {"failed": False, "payload": function(event, Context())}
    except Exception as error:
        traceback.print_exc()
        return failure(error, type(error).__name__)
    try:
        json.dumps(answer)
    except (TypeError, ValueError) as error:
        return failure(f"Unable to marshal response: {error}", "Runtime.MarshalError")
    return answer


with open(os.path.join(folder, "result.json"), "w", encoding="utf-8") as file:
    json.dump(run(), file)
