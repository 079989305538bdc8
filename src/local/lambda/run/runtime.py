"""Runs the handler of one function, event by event, until its input ends.

Standard input brings events, standard output takes answers; what the function itself prints goes to standard
error, where NUL bytes start records that are not lines of text: `L` a message in one piece, `E` the end of an
invocation's log.
"""
import _thread
import base64
import importlib
import json
import logging
import os
import select
import signal
import struct
import sys
import time
import traceback
from decimal import Decimal

LARGEST = 6_291_556
READY, ANSWER, ERROR = 0, 1, 2
INIT = "0" * 36

events, answers = os.dup(0), os.dup(1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
sys.stdout.reconfigure(line_buffering=True)
sys.stderr.reconfigure(line_buffering=True)
request = INIT


def end():
    """Ends the function with the processes that it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def watch():
    """Waits until the cloud closes the input, or is gone."""
    poll = select.poll()
    poll.register(events, 0)
    poll.poll()
    end()


def read(size):
    data = bytearray()
    while len(data) < size:
        part = os.read(events, min(size - len(data), 1 << 20))
        if not part:
            end()
        data += part
    return bytes(data)


def write(target, data):
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # the function closed it


def log(text):
    flush()
    data = text.encode("utf-8", "backslashreplace")
    write(2, b"\0L%08x" % len(data) + data)


def peak():
    """Returns the most memory this process ever had, in KiB."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


def answer(kind, body):
    flush()
    write(2, b"\0E" + request.encode())
    write(answers, struct.pack(">IBI", len(body), kind, min(peak(), 0xFFFFFFFF)) + body)


def moment(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


class TextFormat(logging.Formatter):
    def format(self, record):
        message = super().format(record)
        return f"[{record.levelname}]\t{moment(record.created)}\t{request}\t{message}"


class JsonFormat(logging.Formatter):
    def format(self, record):
        told = {
            "timestamp": moment(record.created),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": request,
        }
        if record.exc_info and record.exc_info[0]:
            told["stackTrace"] = traceback.format_tb(record.exc_info[2])
            told["errorType"] = record.exc_info[0].__name__
            told["errorMessage"] = str(record.exc_info[1])
        return json.dumps(told, default=str, ensure_ascii=False)


class Handler(logging.Handler):
    def emit(self, record):
        try:
            log(self.format(record))
        except Exception:
            self.handleError(record)


JSON_LOGS = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"


def prepare_logging():
    handler = Handler()
    handler.setFormatter(JsonFormat() if JSON_LOGS else TextFormat())
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")
    names = {"TRACE": "DEBUG", "FATAL": "CRITICAL", "WARN": "WARNING"}
    if JSON_LOGS and level:
        logging.getLogger().setLevel(names.get(level, level))


class Failure(Exception):
    """An error that the runtime itself finds."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.trace = kind, list(trace)


def own_frames(error):
    """Formats the frames of the function: neither those of this file nor those of the import machinery."""
    frames = traceback.extract_tb(error.__traceback__)
    foreign = (__file__, importlib.__file__)
    kept = [each for each in frames if each.filename not in foreign and not each.filename.startswith("<frozen ")]
    return traceback.format_list(kept)


def describe(error):
    if isinstance(error, Failure):
        kind, trace = error.kind, error.trace
    else:
        kind, trace = type(error).__name__, own_frames(error)
    told = {"errorMessage": str(error), "errorType": kind, "requestId": request, "stackTrace": trace}
    if JSON_LOGS:
        log(json.dumps({"timestamp": moment(time.time()), "log_level": "ERROR", **told}, ensure_ascii=False))
    else:
        log("".join([f"[ERROR] {kind}: {error}\nTraceback (most recent call last):\n", *trace]).rstrip("\n"))
    return json.dumps(told).encode()


def find(handler):
    module, dot, name = handler.rpartition(".")
    if not dot:
        text = f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        raise Failure("Runtime.MalformedHandlerName", text)
    if module.split(".")[0] in sys.builtin_module_names:
        text = f"Cannot use built-in module {module} as a handler module"
        raise Failure("Runtime.BuiltInModuleConflict", text)
    try:
        found = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise Failure("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}") from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Failure("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}", trace) from error
    try:
        return getattr(found, name)
    except AttributeError as error:
        raise Failure("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module}'") from error


class Part:
    """Something with attributes."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


class Context:
    function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
    memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
    log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
    log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]

    def __init__(self, head):
        self.aws_request_id = head["request"]
        self.invoked_function_arn = head["arn"]
        self.identity = Part(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = client_context(head.get("context"))
        self._end = time.time() + head["milliseconds"] / 1000

    def get_remaining_time_in_millis(self):
        return max(0, int((self._end - time.time()) * 1000))

    def log(self, message):
        log(str(message))


def client_context(encoded):
    if not encoded:
        return None
    told = json.loads(base64.b64decode(encoded))
    names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
    client = told.get("client")
    client = client and Part(**{name: client.get(name) for name in names})
    return Part(custom=told.get("custom"), env=told.get("env"), client=client)


def plain(value):
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def marshal(value):
    try:
        body = json.dumps(value, default=plain, allow_nan=False).encode()
    except Exception as error:
        raise Failure("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
    if len(body) > LARGEST:
        text = f"Response payload size exceeded maximum allowed payload size ({LARGEST} bytes)."
        raise Failure("Function.ResponseSizeTooLarge", text)
    return body


def run_once(handler):
    global request
    sizes = struct.unpack(">II", read(8))
    head, body = json.loads(read(sizes[0])), read(sizes[1])
    request = head["request"]
    try:
        kind, told = ANSWER, marshal(handler(json.loads(body), Context(head)))
    except Exception as error:
        kind, told = ERROR, describe(error)
    answer(kind, told)


def main():
    _thread.start_new_thread(watch, ())
    prepare_logging()
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    try:
        handler = find(os.environ["_HANDLER"])
    except Exception as error:
        answer(ERROR, describe(error))
        return
    answer(READY, b"")
    while True:
        run_once(handler)


main()
