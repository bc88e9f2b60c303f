"""Bodies and queries of the REST and session routes, as far as the simulator reads them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from aiohttp import web
from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, ValidationError

from tinker_simulator.requests import Body, BodyType, RunMetadata, Sequence, unprocessable

FinishType = Literal["success", "errored", "interrupted"]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


class CreateSession(Body):
    """`POST create_session`."""

    tags: list[str] = Field(default_factory=list)
    user_metadata: RunMetadata | None = None
    project_id: str | None = None
    display_name: str | None = None


class Heartbeat(Body):
    """`POST session_heartbeat`."""

    session_id: str


class FinishReason(Body):
    """Why a session ends."""

    type: FinishType


class FinishSession(Body):
    """`POST sessions/{id}/finish`."""

    reason: FinishReason
    detail: str | None = None


class AssignProject(Body):
    """`PUT sessions/{id}/project`."""

    project_id: str | None = None


class OwnSessions(Body):
    """The caller's own sessions."""

    type: Literal["own"] = "own"


class AccessibleSessions(Body):
    """Everybody's sessions."""

    type: Literal["accessible"]


class SessionsOfUsers(Body):
    """The sessions of those users."""

    type: Literal["user"]
    owner_urns: Annotated[list[str], Field(min_length=1, max_length=10)]


class FateOfService(Body):
    """A status that has no more to it than its name."""

    type: Literal["active", "cancelled", "failed"]


class FateOfClient(Body):
    """A session that its client finished, for any reason or one of these."""

    type: Literal["client_finished"]
    reasons: Annotated[list[FinishType], Field(min_length=1)] | None = None


class SearchCursor(Body):
    """The last session of the page before."""

    last_created_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    last_session_id: str


class SearchSessions(Body):
    """`POST sessions/search`."""

    session_id: str | None = None
    project_ids: list[str] | None = None
    user_metadata: RunMetadata = Field(default_factory=dict)
    display_name: Annotated[str, Field(min_length=1)] | None = None
    owner: Annotated[OwnSessions | AccessibleSessions | SessionsOfUsers, Field(discriminator="type")] = OwnSessions()
    statuses: (
        Annotated[list[Annotated[FateOfService | FateOfClient, Field(discriminator="type")]], Field(min_length=1)]
        | None
    ) = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: SearchCursor | None = None


class WeightsInfo(Body):
    """`POST weights_info`."""

    tinker_path: str


class Ttl(Body):
    """`PUT .../ttl`: null takes the expiry away, and has to be said."""

    ttl_seconds: int | None


class CopyWeights(Body):
    """`POST copy_weights`: into a project, or into a session under a model number of it."""

    source_path: str
    destination_project_id: str | None = None
    session_id: str | None = None
    model_seq_id: Sequence | None = None
    ttl_seconds: int | None = None
    weights_access_token: SecretStr | None = None


class PageQuery(Body):
    """`limit` and `offset` of a listing."""

    limit: Annotated[int, Field(ge=1)]
    offset: Sequence = 0


class ScopeQuery(Body):
    """Whose things are looked at, and in which project."""

    access_scope: Literal["owned", "accessible"] = "owned"
    project_id: str | None = None

    def owner(self, caller: str) -> str | None:
        """The owner to look for; None for anybody."""
        return caller if self.access_scope == "owned" else None


def page_of(request: web.Request, default_limit: int, highest_limit: int) -> PageQuery:
    """The page asked for; a limit over the highest is lowered to it, and the answer's cursor says so.

    Raises:
        ApiError: 422, a number is not one, or out of range.
    """
    page = _queried(request, PageQuery, {"limit": str(default_limit)})
    return page.model_copy(update={"limit": min(page.limit, highest_limit)})


def scope_of(request: web.Request) -> ScopeQuery:
    """Whose things are asked for.

    Raises:
        ApiError: 422, there is no such scope.
    """
    return _queried(request, ScopeQuery, {})


def _queried(request: web.Request, query: type[BodyType], defaults: dict[str, str]) -> BodyType:
    try:
        return query.model_validate({**defaults, **request.query})
    except ValidationError as invalid:
        raise unprocessable(invalid, "query") from invalid
