"""Exports of checkpoints: to a directory, to S3, or to the Hugging Face Hub; streamed, resumed, and never sent twice.

    await Exporting(client, way, new_key, work).run(path, Address("s3://models/math").target(path))

Used by the command `tinker-operator export`, which is also what the Jobs of a CheckpointPolicy run.
"""

from tinker_operator.exporter.addresses import Address
from tinker_operator.exporter.exporting import Exported, Exporting
from tinker_operator.exporter.manifest import MANIFEST, Manifest, folder_name

__all__ = ["MANIFEST", "Address", "Exported", "Exporting", "Manifest", "folder_name"]
