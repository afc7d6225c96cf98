"""A real Slurm cluster of two nodes on loopback, with pretend GPUs; needs root, slurmctld, slurmd and munged."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
NODES = ("n1", "n2")
SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={dir}/munge.sock
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdTimeout=6
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool.%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.%n.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.%n.log
SchedulerParameters=batch_sched_delay=0,sched_interval=2
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=1 Gres=gpu:1 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs=1 Gres=gpu:1 State=UNKNOWN
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


def missing() -> str | None:
    """Why no cluster can be started here, or None."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} on this machine"
    return None if os.geteuid() == 0 else "a cluster needs root"


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


def processes() -> list[int]:
    """Every process of this machine."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def parent_of(process: int) -> int:
    """The process that started another, 1 if that has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 1
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))


@dataclass
class Cluster:
    """The daemons, by name, and the folder with their files."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What Slurm's commands need to find this cluster and no other."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH", "MAKE"))}
        return kept | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self, name: str, *command: str) -> None:
        """Start one daemon in the foreground."""
        log = (self.folder / f"{name}.out").open("wb")
        self.daemons[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def call(self, *command: str) -> str:
        """One of Slurm's commands; its output."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def wait(self, what: str, *command: str, seconds: float = 60.0) -> None:
        """Wait until a command's output is ``what``."""
        until, answer = time.monotonic() + seconds, ""
        while time.monotonic() < until:
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
            answer = done.stdout.strip()
            if answer == what:
                return
            time.sleep(0.5)
        raise TimeoutError(f"{' '.join(command)}: expected {what!r} within {seconds} s, got {answer!r}")

    def kill_node(self, name: str) -> None:
        """What a power failure does to a node: its daemon and every process of its jobs are gone at once."""
        self.daemons.pop(name).kill()
        on_it = [number for number in processes() if self.is_on(number, name)]
        keepers = (
            {parent_of(process) for process in on_it} - set(on_it) - {1}
        )  # slurmstepd, which would report the death
        for process in [*keepers, *on_it]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def is_on(self, process: int, name: str) -> bool:
        """Whether a process is part of a job on that node of this cluster."""
        try:
            values = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return {f"SLURM_CONF={self.folder / 'slurm.conf'}".encode(), f"SLURMD_NODENAME={name}".encode()} <= set(values)

    def stop(self) -> None:
        """End all daemons."""
        for daemon in self.daemons.values():
            daemon.terminate()
        for daemon in self.daemons.values():
            daemon.wait(timeout=30)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster that is up; its folder has a short path, since those of sockets may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="xlt-slurm-"))
    found = Cluster(folder)
    port, port1, port2 = free_ports(3)
    values = {"host": socket.gethostname().split(".")[0], "dir": folder, "port": port, "port1": port1, "port2": port2}
    (folder / "slurm.conf").write_text(SETTINGS.format(**values), encoding="utf-8")
    gpus = "".join(f"NodeName={name} Name=gpu File=/dev/tty{number}\n" for number, name in enumerate(NODES, 1))
    (folder / "gres.conf").write_text(gpus, encoding="utf-8")
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    files = {"key-file": key, "socket": folder / "munge.sock", "pid-file": folder / "munged.pid"}
    files |= {"log-file": folder / "munged.log", "seed-file": folder / "munged.seed"}
    try:
        found.start("munged", "munged", "--foreground", "--force", *(f"--{key}={path}" for key, path in files.items()))
        while not (folder / "munge.sock").exists():
            time.sleep(0.1)
        found.start("slurmctld", "slurmctld", "-c", "-D")
        for name in NODES:
            found.start(name, "slurmd", "-c", "-D", "-N", name)
        found.wait("idle", "sinfo", "--noheader", "--format", "%t")
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)
