"""Spark for the tests: local mode, and a standalone cluster of two worker processes on loopback."""

import atexit
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from common import ROOT

# All ports are PORT to PORT + 60, on 127.0.0.1 and 127.0.0.2.
PORT = 17_070
MAIN = ROOT / "Distributed" / "clip_spark" / "__main__.py"


def environment():
    import pyspark

    home = pathlib.Path(pyspark.__file__).parent
    return home, {
        **os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}


def parents():
    """Returns the parent of every process."""
    found = {}
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        found[int(place.name)] = int(fields[1])
    return found


def descendants(roots, word):
    """Returns the processes below roots whose command line has a word, the oldest first."""
    above = parents()
    found = []
    for process in sorted(above):
        ancestor = above[process]
        while ancestor not in roots and ancestor > 1:
            ancestor = above.get(ancestor, 0)
        if ancestor not in roots:
            continue
        try:
            words = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.encode() in each for each in words):
            found.append(process)
    return found


class Cluster:
    """A master and two workers of one core each, which this process ends by their ids.

    The workers have the addresses 127.0.0.1 and 127.0.0.2: Spark runs the second attempt of a task
    on another host only.
    """

    def __init__(self, work):
        self.work = work
        self.processes = []
        self.url = f"spark://127.0.0.1:{PORT}"

    def __enter__(self):
        self.start("org.apache.spark.deploy.master.Master", "master", "--host",
                   "127.0.0.1", "--port", PORT,
                   "--webui-port", PORT + 1)
        self.wait_for("master", "I have been elected leader")
        for number in range(2):
            self.start("org.apache.spark.deploy.worker.Worker", f"worker{number}", "--host",
                       f"127.0.0.{number + 1}", "--port", PORT + 2 + 2 * number, "--webui-port",
                       PORT + 3 + 2 * number, "--cores", 1, "--memory", "2g", "--work-dir",
                       self.work / f"spark-work{number}", self.url)
            self.wait_for(f"worker{number}", "Successfully registered with master")
        return self

    def start(self, name, log, *arguments):
        home, variables = environment()
        command = [home / "bin" / "spark-class", name, *arguments]
        variables["SPARK_LOCAL_IP"] = arguments[arguments.index("--host") + 1]
        with open(self.work / f"{log}.log", "wb") as file:
            self.processes.append(subprocess.Popen(
                list(map(str, command)), stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                env={**variables, "SPARK_DAEMON_MEMORY": "512m"}))

    def wait_for(self, log, line, seconds=120):
        end = time.monotonic() + seconds
        while line not in (self.work / f"{log}.log").read_text(errors="replace"):
            if time.monotonic() > end or self.processes[-1].poll() is not None:
                raise SystemExit(f"{log} did not start; see {self.work / log}.log")
            time.sleep(0.2)

    def __exit__(self, *_):
        # Workers end their executors.
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def ids(self):
        return {process.pid for process in self.processes}


class Job:
    """A running spark-submit of clip_spark."""

    def __init__(self, options, name, job, *arguments, master, files=(), settings=()):
        home, variables = environment()
        self.log = options.work / f"{name}.log"
        settings = [
            f"spark.driver.port={PORT + 10}", f"spark.blockManager.port={PORT + 20}",
            f"spark.driver.blockManager.port={PORT + 30}", "spark.port.maxRetries=9",
            "spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1",
            "spark.ui.enabled=false", *settings]
        self.command = [
            home / "bin" / "spark-submit", "--master", master, "--driver-memory", "1g",
            "--executor-memory", "1g", "--executor-cores", "1",
            *[part for setting in settings for part in ("--conf", setting)],
            *(["--files", ",".join(map(str, files))] if files else []), MAIN, job, *arguments]
        self.file = open(self.log, "wb")
        self.process = subprocess.Popen(
            list(map(str, self.command)), stdout=subprocess.PIPE, stderr=self.file, env=variables)
        # A test that fails leaves no job behind.
        atexit.register(self.process.terminate)

    def wait(self):
        """Waits for the end, and returns the output and the seconds after the session's start.

        spark-submit merges the standard error of Python into the standard output.
        """
        output = self.process.communicate()[0]
        self.file.close()
        if self.process.returncode != 0:
            sys.stderr.buffer.write(output[-2000:])
            raise SystemExit(f"a job failed with {self.process.returncode}; see {self.log}")
        found = re.search(rb"clip_spark: [\w-]+: done in ([\d.]+) s", output)
        return output, float(found[1]) if found else None

    def text(self):
        return self.log.read_text(errors="replace")


def strike(roots, word, number, job, seconds=120):
    """Sends a signal to the oldest process below roots with a word; returns its id."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and job.process.poll() is None:
        for process in descendants(roots, word)[:1]:
            os.kill(process, number)
            print(f"        sent {signal.Signals(number).name} to {word} {process}", flush=True)
            return process
        time.sleep(0.1)
    raise SystemExit(f"found no {word} to send {signal.Signals(number).name} to; see {job.log}")
