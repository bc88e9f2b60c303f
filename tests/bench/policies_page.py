"""What the page of the bench says of policies over many checkpoints; `page` puts it there."""

TEXT = """## Policies over many checkpoints

`python -m tests.bench.policies {arguments}`

Each contender has a real API server and a simulator of its own, with objects, runs and checkpoints that were there
before it. Every policy governs its share of the TrainingRuns and keeps everything; the start is over when a watch has
shown the status of the last policy that counts all of its checkpoints. Then nothing happens for a while. At last one
policy keeps one checkpoint less of each of its runs: the time ends when its status counts all of them as deleted, and
counts only if just these are gone from the service. The loop with the official SDK lists the checkpoints of each run in
turn, and decides nothing. Counted are the calls for the checkpoints of a run: ours makes a second one where a service
tells no count and gives a round number of rows, since that may be a page.

{figures}
"""
FIGURES = {
    "start_seconds": ("start until every policy has told, s", 1),
    "start_listings": ("listing calls until then", 0),
    "start_cpu_seconds": ("CPU of that, s", 1),
    "rest_listings_per_interval": ("listing calls in each interval at rest", 0),
    "rest_cpu_seconds_per_minute": ("CPU at rest, s per minute", 2),
    "rest_writes": ("writes and Events at rest", 0),
    "rest_bytes": ("resident memory, MiB", 0),
    "delete_seconds": ("what a changed policy lets go, all gone, s", 1),
    "delete_listings": ("listing calls for that", 0),
    "delete_cpu_seconds": ("CPU of that, s", 1),
}
"""Quantity → how it is shown, with so many digits."""
