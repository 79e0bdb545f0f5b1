"""CPUs: affinity and quota, version 1 and 2, in containers and outside."""

from __future__ import annotations

import pytest

from penstock.server.config.cpus import available_cpus, cpu_quota


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


CASES = {
    "nothing known": ({}, None),
    "version 2 without limit": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        None,
    ),
    "version 2 inside a container": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"},
        1.5,
    ),
    "version 2 limited by a parent": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
        },
        2.0,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n2:memory:/docker/x\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
    "version 1 with the path of the host": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        3.0,
    ),
    "version 1 without limit": (
        {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "nonsense": (
        {"proc/self/cgroup": "0::/\nx\n", "sys/fs/cgroup/cpu.max": "many\n"},
        None,
    ),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_quota_is_read(tmp_path, case):
    files, quota = CASES[case]
    write(tmp_path, files)
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("quota", "affinity", "cpus"),
    [("max", 4, 4), ("150000", 4, 2), ("800000", 4, 4), ("10000", 4, 1)],
)
def test_the_smaller_of_quota_and_affinity_counts(tmp_path, quota, affinity, cpus):
    text = f"{quota} 100000"
    write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": text})
    assert available_cpus(tmp_path, affinity) == cpus


def test_this_very_machine_has_a_cpu():
    assert available_cpus() >= 1
