"""Runs ``jupyter bgstream`` in a new process for each line of its input, without importing all of Jupyter each time.

A line is JSON: arguments, env, cwd, and the files for out and err. The answer is a line with the exit status.
"""

import json
import os
import sys
import traceback

import jupyter_bgstream.cli.doctor.runner  # noqa: F401 - what takes its time
from jupyter_bgstream.cli import main


def run(arguments, env, cwd, out, err):
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    status = 70
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run(**json.loads(line))
    _, ended = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(ended)}\n")
    sys.stdout.flush()
