"""Code that must run: a model's Python against given asserts, in a subprocess with limits.

Limits of time, memory, file size and processes are set inside the child before the code runs. They stop
accidents, not attacks: there is no wall around the file system or the network. Hence off unless asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import sys
import tempfile

from ...errors import SuiteError
from ...nouns import Case, Score

_MOST_SAID = 1 << 16
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
# Two processes: one runs the code, the other sees to it that nothing is left of that when the laboratory
# ends, however it does: then the pipe that the code came through breaks.
_CHILD = """
import os, resource, signal, sys, threading
token, seconds, megabytes, size = sys.argv.pop(), *map(int, sys.argv[1:4])
def cleared():
    try:
        os.rmdir(folder)
    except OSError:
        import shutil
        shutil.rmtree(folder, True)
def watch():
    os.read(0, 1)
    os.kill(child, signal.SIGKILL)
    cleared()
    os.killpg(0, signal.SIGKILL)
folder = os.getcwd()
text = sys.stdin.buffer.read(size)
child = os.fork() if len(text) == size else 0
if child:
    threading.Thread(target=watch, daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    cleared()
    os._exit(status if status >= 0 else 128 - status)
if len(text) < size:
    cleared()
    os._exit(1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
for what, most in (
    (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, megabytes << 20), (resource.RLIMIT_FSIZE, 1 << 20),
    (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_CORE, 0),
):
    resource.setrlimit(what, (most, most))
exec(compile(text.decode(), "answer", "exec"), {"__name__": "__main__"})
print("\\n" + token)
"""
_KILLED = 128 + signal.SIGKILL


class CodeScorer:
    """1 when the answer's code, followed by the Case's asserts, runs to its end. The asserts stand in
    `metadata["test"]`, else in the target.
    """

    def __init__(self, seconds: int = 5, megabytes: int = 512) -> None:
        if seconds < 1 or megabytes < 64:
            raise SuiteError("The scorer code needs a second and 64 MB at least.", "Raise the limits.")
        self.seconds = seconds
        self.megabytes = megabytes
        # More at once would take each other's time, and be wrong for it.
        self._turns = asyncio.Semaphore(os.cpu_count() or 1)

    async def __call__(self, case: Case, answer: str) -> Score:
        tests = case.metadata.get("test") or case.target
        if not isinstance(tests, str) or not tests.strip():
            return Score(None, "the Case has no asserts to run")
        token = secrets.token_hex(8)
        async with self._turns:
            status, said, complaint = await self.run(f"{code_in(answer)}\n\n{tests}\n", token)
        if status == 0 and said.endswith(f"\n{token}\n"):
            return Score(1.0)
        last = complaint.strip().splitlines()[-1:] or [f"it ended with status {status}"]
        return Score(0.0, last[0][:200])

    async def run(self, code: str, token: str) -> tuple[int | None, str, str]:
        """(exit status, None: out of time; standard output; standard error) of the code, run alone.

        `token` is printed after its last line.
        """
        # Half a surrogate pair is no Python either way.
        text = code.encode(errors="surrogatepass")
        with tempfile.TemporaryDirectory(prefix="tierwise-code-", ignore_cleanup_errors=True) as folder:
            limits = (str(self.seconds), str(self.megabytes), str(len(text)))
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", _CHILD, *limits, token,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                cwd=folder, env={"PATH": os.defpath, "HOME": folder}, start_new_session=True,
            )  # fmt: skip
            told = asyncio.ensure_future(_talk(child, text))
            try:
                ended, _ = await asyncio.wait((told,), timeout=self.seconds + 1)
            finally:
                # Its own children too.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                # What it wrote is read to the end: behind a full pipe nobody sees that it is gone. One that
                # left its group may hold the pipe open.
                await asyncio.wait((told,), timeout=1)
                told.cancel()
            # The limit of processor time may come first, and kills too.
            if not ended or child.returncode in (_KILLED, -signal.SIGKILL):
                return None, "", "it did not end in time"
            out, err = told.result()
            return child.returncode, out.decode(errors="replace"), err.decode(errors="replace")


async def _talk(child: asyncio.subprocess.Process, text: bytes) -> tuple[bytes, bytes]:
    """Hands the code in; gives the ends of what it prints: one that never ends fills no memory."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdin.write(text)
    out, err = await asyncio.gather(_end_of(child.stdout), _end_of(child.stderr))
    await child.wait()
    return out, err


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    kept = b""
    while piece := await stream.read(_MOST_SAID):
        kept = (kept + piece)[-_MOST_SAID:]
    return kept


def code_in(answer: str) -> str:
    """The Python in an answer: its fenced blocks, else all of it."""
    blocks = _FENCE.findall(answer)
    return "\n\n".join(blocks) if blocks else answer
