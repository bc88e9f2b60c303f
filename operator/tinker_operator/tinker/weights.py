"""What is done with stored checkpoints: looked at, deleted, shared, copied, fetched. Needs no session."""

from email.utils import parsedate_to_datetime
from http import HTTPStatus

from pydantic import SecretStr

from tinker_operator.tinker import calls
from tinker_operator.tinker.connection import Connection
from tinker_operator.tinker.errors import InvalidResponse
from tinker_operator.tinker.faults import Answer, retry_after
from tinker_operator.tinker.models import WeightsInfo, in_utc
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.weights_models import (
    Archive,
    ArchiveBeingBuilt,
    ArchiveReady,
    ArchiveSaid,
    BaseModelMismatch,
    Compatibility,
    Compatible,
    ExternalWeightsUrls,
    NotLora,
    RankMismatch,
    WeightsCopied,
)


class WeightsCalls(Connection):
    """Calls about single checkpoints. A path that is none is refused before anything is sent."""

    async def weights_info(self, path: TinkerPath) -> WeightsInfo:
        """Say what a checkpoint was trained as. It alone does not prove that the checkpoint is there or good."""
        return await self._transport.ask(calls.weights_info(path), WeightsInfo)

    async def get_weights_info_by_tinker_path(self, path: TinkerPath | str) -> WeightsInfo:
        """Say what a checkpoint was trained as, as `weights_info` does.

        Raises:
            InvalidTinkerPath: The path is none; nothing was asked.
        """
        return await self.weights_info(parsed_path(path))

    async def check_compatible(self, path: TinkerPath | str, base_model: str, rank: int) -> Compatibility:
        """Say whether a checkpoint can be loaded into a run of this base model and LoRA rank, and if not, why.

        Raises:
            NotFound: No such checkpoint.
        """
        info = await self.get_weights_info_by_tinker_path(path)
        if info.base_model != base_model:
            return BaseModelMismatch(base_model, info.base_model)
        if not info.is_lora:
            return NotLora(info.base_model)
        if info.lora_rank not in {None, rank}:
            return RankMismatch(rank, info.lora_rank or 0)
        return Compatible(info.base_model, info.lora_rank)

    async def delete_checkpoint(self, path: TinkerPath) -> None:
        """Delete a checkpoint for good. Asked once: where the answer is lost, look at the listing before asking again.

        Raises:
            NotFound: It is not there.
            RouteMissing: The service cannot delete; nothing was deleted.
        """
        await self._transport.tell(calls.delete_checkpoint(path))

    async def publish_checkpoint(self, path: TinkerPath | str) -> None:
        """Let everybody look at a checkpoint, load it and sample from it.

        Raises:
            NotFound: It is not there, or not the key's owner's.
            Conflict: It is public already.
        """
        await self._transport.tell(calls.publish_checkpoint(parsed_path(path)))

    async def unpublish_checkpoint(self, path: TinkerPath | str) -> None:
        """Take a checkpoint back.

        Raises:
            NotFound: It is not there, or not the key's owner's.
            Conflict: It is private already.
        """
        await self._transport.tell(calls.unpublish_checkpoint(parsed_path(path)))

    async def set_checkpoint_ttl(self, path: TinkerPath | str, ttl_seconds: int | None) -> None:
        """Say how long a checkpoint lives.

        Args:
            path: It.
            ttl_seconds: Counted from now, an hour to ten years; None for ever.

        Raises:
            NotFound: It is not there, or not the key's owner's.
            BadRequest: The time is too short or too long.
        """
        await self._transport.tell(calls.set_checkpoint_ttl(parsed_path(path), ttl_seconds))

    async def external_weights_urls(self, path: TinkerPath | str) -> ExternalWeightsUrls:
        """Say where the files of an external checkpoint are. The addresses open them to whoever knows them.

        Raises:
            NotFound: It is not there.
            RouteMissing: The service has no external checkpoints.
        """
        return await self._transport.ask(calls.external_weights_urls(parsed_path(path)), ExternalWeightsUrls)

    async def archive(self, path: TinkerPath | str) -> Archive:
        """Say where the archive of a checkpoint is, at services that still have archives; asked once.

        Raises:
            RouteMissing: The service has none, as official ones: save external weights instead.
            NotFound: No such checkpoint.
        """
        answer = await self._transport.send(calls.archive(parsed_path(path)))
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return ArchiveBeingBuilt(retry_after(answer.headers))
        if answer.status in answer.call.answers:
            return _redirected(answer)
        said = self._transport.read(answer, ArchiveSaid)
        return ArchiveReady(said.url, said.expires)

    async def copy_weights(
        self,
        source: TinkerPath | str,
        *,
        project_id: str | None = None,
        session_id: str | None = None,
        model_seq_id: int | None = None,
        ttl_seconds: int | None = None,
        weights_access_token: SecretStr | None = None,
        idempotency_key: str | None = None,
    ) -> TinkerPath:
        """Copy a checkpoint, into a project or into a session; gives where the copy is.

        Args:
            source: The checkpoint.
            project_id: The project to copy it to; else
            session_id: the session, together with
            model_seq_id: the number there of the run that the copy belongs to; it cannot be trained.
            ttl_seconds: How long the copy lives; None for ever. The source's own is not inherited.
            weights_access_token: Opens a checkpoint of another account.
            idempotency_key: A UUID of the caller's; the same one again makes no second copy. None makes one for this
                call, which covers its own repetitions.

        Raises:
            CallNotPossible: Not exactly one destination is given.
            NotFound: No such checkpoint.
        """
        if weights_access_token is not None:
            self._transport.hide(weights_access_token)
        call = calls.copy_weights(
            parsed_path(source),
            idempotency_key or self._transport.keeper.unique(),
            project_id=project_id,
            session_id=session_id,
            model_seq_id=model_seq_id,
            ttl_seconds=ttl_seconds,
            weights_access_token=weights_access_token,
        )
        answer = await self._transport.send(call)
        path = self._transport.read(answer, WeightsCopied).tinker_path
        return self._transport.decode(answer, lambda _: TinkerPath.listed(path))


def parsed_path(path: TinkerPath | str) -> TinkerPath:
    """Take a path as it is or as text.

    Raises:
        InvalidTinkerPath: The text is none.
    """
    return TinkerPath.parse(path) if isinstance(path, str) else path


def _redirected(answer: Answer) -> ArchiveReady:
    """Read where a redirect leads.

    Raises:
        InvalidResponse: Nowhere.
    """
    if not (location := answer.headers.get("location", "")):
        raise InvalidResponse(f"The answer to {answer.call.title} leads elsewhere and does not say where")
    try:
        expires = in_utc(parsedate_to_datetime(answer.headers.get("expires", "")))
    except (ValueError, TypeError, OverflowError):
        expires = None
    return ArchiveReady(SecretStr(location), expires)
