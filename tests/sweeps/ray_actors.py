"""The workers of a test's own Ray cluster, found among the processes of this machine."""

from pathlib import Path
from typing import Any


def actors_of(cluster: Any) -> list[int]:
    """Processes that do jobs, of the nodes of a ``ray.cluster_utils.Cluster``."""
    raylets = {
        info.process.pid for node in cluster.list_all_nodes() for info in node.all_processes.get("raylet", [])
    }
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
            if parent in raylets and (folder / "cmdline").read_bytes().startswith(b"ray::Hand"):
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended
    return found
