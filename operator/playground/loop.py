"""The demonstration's training loop: a plain program on the official SDK that outlives the loss of its run.

Copy it: what makes it resume is `training_sessions`, what makes it end well is `training_loop`. It prints one JSON line
per event, so that the demonstration, or you with `jq`, can follow it::

    python -m playground.loop --steps 60 --save-every 10

The service comes from TINKER_BASE_URL and TINKER_API_KEY, the hand-over from TINKER_OPERATOR_HANDOVER (a path or
configmap://NAMESPACE/NAME; without it the loop trains, and a loss ends it). On SIGTERM it ends after the step that is
under way, finishes its session at the service and exits with status 143, as any process ended by that signal does: the
training is not complete. docs/trainer.md tells what the other exit statuses mean.
"""

import argparse
import json
import time
from typing import Final, NoReturn

import tinker
from tinker.types import AdamParams, Datum, ModelInput, TensorData

from tinker_operator.trainer import (
    SettingInvalid,
    TrainingSession,
    service_client,
    source_from,
    training_loop,
    training_sessions,
)

ADAM: Final = AdamParams(learning_rate=1e-2)
BATCH: Final = 2
TEXTS: Final = (
    (101, 7, 42, 9, 13, 102),
    (101, 5, 5, 8, 21, 34, 102),
    (101, 2, 4, 8, 16, 32, 64, 102),
    (101, 11, 17, 23, 31, 102),
)


def main(argv: list[str] | None = None) -> None:
    """Train; the process ends with the status that `training_loop` gives it."""
    settings = parse(argv)
    with training_loop(name="playground.loop", grace_seconds=settings.grace_seconds), service_client() as client:
        train(client, settings)


def train(client: tinker.ServiceClient, settings: argparse.Namespace) -> None:
    """Train all steps, on as many runs as it takes."""
    event = "started"
    for session in training_sessions(
        client,
        base_model=settings.base_model,
        lora_rank=settings.lora_rank,
        seed=settings.seed,
        save_every=settings.save_every,
        poll_seconds=settings.poll_seconds,
        wait_seconds=settings.wait_seconds,
        watch_seconds=settings.watch_seconds,
        save_on_sigterm=settings.save_on_sigterm,
        on_superseded=lambda seen: report("superseded", attempt=seen.attempt),
    ):
        run = session.run
        report(
            event,
            run=run.training_run_id,
            fresh=run.fresh,
            start_step=run.start_step,
            checkpoint=run.checkpoint,
            attempt=run.attempt,
        )
        with session:
            train_run(session, settings)
        if session.lost:
            report("lost", run=session.lost.training_run_id, error=session.lost.error_class)
        event = "resumed"
    report("done", run=run.training_run_id, step=max(settings.steps, run.start_step))


def train_run(session: TrainingSession, settings: argparse.Namespace) -> None:
    """Train the steps that are left on one run, saving on the way and at the end."""
    for step in session.steps(until=settings.steps):
        loss = train_step(session.training_client, step)
        report("step", step=step, loss=loss)
        save = session.checkpointer.save_now if step == settings.steps else session.checkpointer.step
        path = save(step, {"loss": loss})
        if settings.epoch_steps and step % settings.epoch_steps == 0:
            path = session.checkpointer.epoch_end(step // settings.epoch_steps, step, {"loss": loss}) or path
        if path:
            report("saved", step=step, path=path, loss=loss)
        time.sleep(settings.step_seconds)


def train_step(client: tinker.TrainingClient, step: int) -> float:
    """One step on the batch that belongs to its number, so that a resumed training sees what an uninterrupted one does.

    Returns:
        The mean loss per token before the step.
    """
    batch = [datum(TEXTS[(step * BATCH + offset) % len(TEXTS)]) for offset in range(BATCH)]
    forward = client.forward_backward(batch, "cross_entropy")
    optimized = client.optim_step(ADAM)
    total = forward.result().metrics["loss:sum"]
    optimized.result()
    return total / sum(each.model_input.length for each in batch)


def datum(tokens: tuple[int, ...]) -> Datum:
    """Each token predicts the next one."""
    length = len(tokens) - 1
    return Datum(
        model_input=ModelInput.from_ints(list(tokens[:-1])),
        loss_fn_inputs={
            "target_tokens": TensorData(data=list(tokens[1:]), dtype="int64", shape=[length]),
            "weights": TensorData(data=[1.0] * length, dtype="float32", shape=[length]),
        },
    )


def report(event: str, **fields: object) -> None:
    """Print an event as one line of JSON."""
    print(json.dumps({"event": event} | fields), flush=True)  # noqa: T201  # the program's output


class Parser(argparse.ArgumentParser):
    """Tells a bad setting in one line."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(prog="playground.loop", description="Train a tiny model; resume when the run was recovered.")
    parser.add_argument("--steps", type=at_least_one, required=True, help="steps of the whole training")
    parser.add_argument("--save-every", type=at_least_one, required=True, help="steps from checkpoint to checkpoint")
    parser.add_argument("--epoch-steps", type=at_least_one, help="steps of an epoch (no epochs)")
    parser.add_argument("--base-model", default="Qwen/Qwen3-8B", help="model to adapt (%(default)s)")
    parser.add_argument("--lora-rank", type=at_least_one, default=8, help="rank of the adapter (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of a fresh adapter (%(default)s)")
    parser.add_argument("--step-seconds", type=seconds, default=0.0, help="pause after each step (%(default)s)")
    parser.add_argument("--poll-seconds", type=seconds, default=0.5, help="pause between looks (%(default)s)")
    parser.add_argument("--wait-seconds", type=seconds, default=600.0, help="patience for a recovery (%(default)s)")
    parser.add_argument("--watch-seconds", type=seconds, default=2.0, help="between looks in training (%(default)s)")
    parser.add_argument("--grace-seconds", type=seconds, default=8.0, help="from SIGTERM to the end (%(default)s)")
    parser.add_argument("--save-on-sigterm", action="store_true", help="save the step that SIGTERM ends")
    settings = parser.parse_args(argv)
    try:
        source_from()
    except SettingInvalid as error:
        parser.error(str(error))
    return settings


def at_least_one(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return value


if __name__ == "__main__":
    main()
