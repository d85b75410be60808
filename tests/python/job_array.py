"""Encodes in COUNT tasks of a HyperQueue job, a part in each.

Arguments: program, run, COUNT, file.
"""

import sys
import tempfile

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

program, run, count, out = sys.argv[1:]

with tempfile.TemporaryDirectory() as folder, LocalCluster() as cluster:
    for _ in range(2):
        cluster.start_worker(WorkerConfig(cores=1))
    client = cluster.client()
    job = Job(folder)
    for task in range(1, int(count) + 1):
        job.program([program, "encode", run, "--backend", "cpu", "--shard", f"{task}/{count}", "--out", out])
    client.wait_for_jobs([client.submit(job)])
