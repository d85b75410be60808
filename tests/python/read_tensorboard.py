"""Reads the event files of a run folder as TensorBoard does, and prints what it finds as JSON.

    python read_tensorboard.py RUN

Needs the package tensorboard (2.16 or later).
"""

import json
import sys

from tensorboard.backend.event_processing import event_accumulator as accumulator
from tensorboard.plugins.hparams import metadata

run = accumulator.EventAccumulator(
    sys.argv[1], size_guidance={accumulator.SCALARS: 0, accumulator.HISTOGRAMS: 0, accumulator.IMAGES: 0}
)
run.Reload()
tags = run.Tags()
plugin = run.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
start = metadata.parse_session_start_info_plugin_data(plugin)
print(
    json.dumps(
        {
            "scalars": {tag: [[event.step, event.value] for event in run.Scalars(tag)] for tag in tags["scalars"]},
            "histograms": {
                tag: [event.histogram_value.num for event in run.Histograms(tag)] for tag in tags["histograms"]
            },
            "images": {
                tag: [[event.width, event.height] for event in run.Images(tag)] for tag in tags["images"]
            },
            "latent": start.hparams["latent"].number_value,
            "optimizer": start.hparams["optimizer"].string_value,
        }
    )
)
