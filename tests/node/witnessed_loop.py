"""The training loop of the tests with real Pods: it does what its witness orders, and tells the witness what it did.

Mounted into Pods of the trainer image by a ConfigMap, and run on this machine for a training that nobody interrupts.
The connection to the witness is open as long as the process lives, so the witness knows when it does not any more,
however it ended. An order is a line:

    resume      make the run, from the hand-over or afresh
    train N     take so many steps
    wait        wait for the next order as a step does that takes long: asking whether it may go on
    exit N      end with this status
    eat         use more memory than anybody may
    fill        fill the volume at /scratch
    deaf        heed SIGTERM no more
    end         all is trained
"""

import json
import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tinker.types import AdamParams, Datum, ModelInput, TensorData

from tinker_operator.trainer import TrainingSession, service_client, training_loop, training_sessions

STEPS = 1000
SAVE_EVERY = 2
LOOK_SECONDS = 0.2
GRACE_SECONDS = 3


class Witness:
    """The other end of the connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._connection = socket.create_connection((host, int(port)))
        self._lines = self._connection.makefile("rw")

    def tell(self, **event: object) -> None:
        self._lines.write(json.dumps(event) + "\n")
        self._lines.flush()

    def order(self, check: Callable[[], object] = lambda: None) -> tuple[str, int]:
        """Ask for an order and wait for it, checking meanwhile whether the loop may go on."""
        self.tell(asks=True)
        while not select.select([self._connection], [], [], LOOK_SECONDS)[0]:
            check()
        word, _, number = self._lines.readline().strip().partition(" ")
        return word or "exit", int(number or 1)  # a witness that is gone wants nothing any more


def batch_of(step: int) -> list[Datum]:
    """The batch of a step is a function of its number, so that a resumed training sees what any other does."""
    tokens = [(step * 7 + place * place) % 1000 for place in range(9)]
    targets = TensorData(data=tokens[1:], dtype="int64", shape=[8])
    weights = TensorData(data=[1.0] * 8, dtype="float32", shape=[8])
    inputs = {"target_tokens": targets, "weights": weights}
    return [Datum(model_input=ModelInput.from_ints(tokens[:-1]), loss_fn_inputs=inputs)]


def obey(word: str, number: int) -> None:
    """Do what has nothing to do with training."""
    match word:
        case "exit":
            os._exit(number)
        case "eat":
            raise SystemExit(len(bytearray(2_000_000_000)))
        case "fill":
            Path("/scratch/file").write_bytes(bytes(8_000_000))
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def train(session: TrainingSession, witness: Witness) -> None:
    steps = iter(session.steps(until=STEPS))
    deaf = False
    while True:
        word, number = witness.order((lambda: None) if deaf else session.check)
        if word == "end":
            return
        obey(word, number)
        deaf = deaf or word == "deaf"
        for _ in range(number if word == "train" else 0):
            take(session, next(steps), witness)


def take(session: TrainingSession, step: int, witness: Witness) -> None:
    passed = session.training_client.forward_backward(batch_of(step), "cross_entropy")
    session.training_client.optim_step(AdamParams(learning_rate=0.02)).result()
    loss = passed.result().metrics["loss:sum"]
    session.checkpointer.step(step, {"loss": loss})
    witness.tell(step=step, loss=loss)


def main(witness: Witness) -> None:
    attempt = os.environ.get("TINKER_OPERATOR_ATTEMPT")
    witness.tell(training=os.environ["TRAINING"], attempt=attempt, pod=socket.gethostname())
    with training_loop(grace_seconds=GRACE_SECONDS), service_client() as service:
        obey(*witness.order())
        sessions = training_sessions(
            service, base_model="Qwen/Qwen3-8B", lora_rank=4, seed=0, save_every=SAVE_EVERY, watch_seconds=0.5
        )
        for session in sessions:
            witness.tell(run=session.run.training_run_id, start=session.run.start_step)
            with session:
                train(session, witness)


if __name__ == "__main__":
    main(Witness(os.environ["WITNESS"]))
