"""The CRDs are what the types say, to the letter, and the command that writes them says so when they are not."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, Field

from tinker_operator.api.crd import main, rendered
from tinker_operator.api.definitions import KINDS, Kind, definition
from tinker_operator.api.schema import SchemaError, structural_schema

pytestmark = pytest.mark.pure

Schema = Mapping[str, Any]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def committed(repository: Path, kind: Kind) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((repository / "crds" / f"{kind.plural}.yaml").read_text(encoding="utf-8"))
    return document


def root(document: Schema) -> Schema:
    schema: Schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema in a schema with its dotted path; [] and {} stand for the items of lists and maps."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from nodes(schema[keyword], path + mark)


def fields_of(model: type[BaseModel], path: str) -> Iterator[str]:
    """The dotted path of every field of a type, in the API's spelling."""
    for name, field in model.model_fields.items():
        below = f"{path}.{field.alias or name}"
        yield below
        for mark, inner in models_in(field.annotation):
            yield from fields_of(inner, below + mark)


def models_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
    mark = "[]" if get_origin(annotation) is tuple else ""
    yield from ((mark + deeper, model) for inner in get_args(annotation) for deeper, model in models_in(inner))


@each_kind
def test_what_is_committed_is_what_the_types_say(kind: Kind, repository: Path) -> None:
    """To the byte; the remedy is `make crds`."""
    assert (repository / "crds" / f"{kind.plural}.yaml").read_text(encoding="utf-8") == rendered(kind)


def test_no_crd_is_committed_that_no_type_stands_for(repository: Path) -> None:
    """A file for each kind and no other."""
    assert {path.name for path in (repository / "crds").iterdir()} == {
        "Kustomization",
        *(f"{kind.plural}.yaml" for kind in KINDS),
    }


@each_kind
def test_each_field_says_what_it_means(kind: Kind, repository: Path) -> None:
    """In whole sentences, since kubectl explain is where most people look first."""
    for path, schema in nodes(root(committed(repository, kind))):
        is_field = path and not path.endswith(("[]", "{}")) and path != ".metadata"
        assert not is_field or schema["description"].endswith("."), path


@each_kind
def test_the_crd_has_the_fields_of_the_types_and_no_other(kind: Kind, repository: Path) -> None:
    """Nothing that a user can write is left unread, nothing that the operator writes is pruned."""
    schema = root(committed(repository, kind))["properties"]
    for part, model in (("spec", kind.spec), ("status", kind.status)):
        found = {path for path, _ in nodes(schema[part], part) if not path.endswith(("[]", "{}"))}
        assert found == {part, *fields_of(model, part)}


@each_kind
def test_status_has_one_default_only(kind: Kind, repository: Path) -> None:
    """Not observed yet: status is otherwise what the operator wrote and nothing else."""
    defaults = {
        path: schema["default"] for path, schema in nodes(root(committed(repository, kind))) if "default" in schema
    }
    of_status = {path: default for path, default in defaults.items() if path.startswith(".status")}
    assert of_status == {".status": {"observedGeneration": -1}}


@each_kind
def test_spec_refuses_in_words(kind: Kind, repository: Path) -> None:
    """No bare pattern, whose message would be the regular expression; every rule names a field and ends in a remedy."""
    spec = root(committed(repository, kind))["properties"]["spec"]
    assert [path for path, schema in nodes(spec) if "pattern" in schema] == []
    for path, schema in nodes(root(committed(repository, kind))):
        for rule in schema.get("x-kubernetes-validations", []):
            field, _, remedy = rule["message"].partition(": ")
            assert field.replace(".", "").isalpha(), path
            assert "; " in remedy or remedy.startswith("give "), path


@each_kind
def test_spec_has_no_floating_point(kind: Kind, repository: Path) -> None:
    """Numbers are whole and have a width; a float does not survive every client unchanged."""
    for path, schema in nodes(root(committed(repository, kind))):
        assert schema.get("type") != "number", path
        assert schema.get("type") != "integer" or schema["format"] in {"int32", "int64"}, path


@each_kind
def test_printer_columns_lead_to_fields(kind: Kind, repository: Path) -> None:
    """A renamed field would leave its column empty; conditions are found by type, never by position."""
    version = committed(repository, kind)["spec"]["versions"][0]
    known = {path for path, _ in nodes(root(committed(repository, kind)))} | {".metadata.creationTimestamp"}
    for column in version["additionalPrinterColumns"]:
        path = re.sub(r'\[\?\(@\.type=="\w+"\)\]', "[]", column["jsonPath"])
        assert path in known, column


@each_kind
def test_the_definition_serves_one_namespaced_version_with_a_status(kind: Kind) -> None:
    """Short name, category, and the status subresource that keeps users out of status."""
    spec = definition(kind)["spec"]
    version = spec["versions"][0]
    assert (spec["scope"], spec["preserveUnknownFields"], len(spec["versions"])) == ("Namespaced", False, 1)
    assert (version["served"], version["storage"], version["subresources"]) == (True, True, {"status": {}})
    assert spec["names"]["categories"] == ["tinker"]
    assert spec["names"]["shortNames"] == [{"TrainingRun": "tr", "CheckpointPolicy": "ckp"}[kind.name]]


class Undescribed(BaseModel):
    """A type that forgets to say what its field means."""

    rank: int


class Blank(BaseModel):
    """A type that says it with nothing."""

    rank: int = Field(description="  ")


class TwoTypes(BaseModel):
    """A field of two types."""

    rank: int | str = Field(description="A number or a word.")


class AnyType(BaseModel):
    """A field of any type."""

    rank: Any = Field(description="Whatever.")


class BoundedKeys(BaseModel):
    """A map whose keys are bounded, which a structural schema cannot say."""

    labels: dict[Annotated[str, Field(max_length=3)], str] = Field(description="Labels.")


class Exclusive(BaseModel):
    """A bound that Kubernetes does not know in this form."""

    rank: int = Field(description="A number.", gt=0)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param(Undescribed, "Undescribed.rank: no description", id="a field without a description"),
        pytest.param(Blank, "Blank.rank: an empty description", id="an empty description"),
        pytest.param(TwoTypes, "TwoTypes.rank: a union of several types", id="a field of two types"),
        pytest.param(AnyType, "AnyType.rank: a structural schema gives every value one type", id="a field of any type"),
        pytest.param(
            BoundedKeys, "BoundedKeys.labels: no structural form of propertyNames", id="bounds of a map's keys"
        ),
        pytest.param(Exclusive, "Exclusive.rank: no structural form of exclusiveMinimum", id="an unknown keyword"),
    ],
)
def test_what_a_structural_schema_cannot_say_stops_the_generation(model: type[BaseModel], said: str) -> None:
    """A rule that were left out in silence would be believed to hold."""
    with pytest.raises(SchemaError, match=said):
        structural_schema(model, defaults=True)


def test_the_command_writes_what_its_check_then_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Silently, as a good command does."""
    assert (main([str(tmp_path)]), main([str(tmp_path), "--check"])) == (0, 0)
    assert capsys.readouterr() == ("", "")


def test_check_tells_what_differs_and_the_remedy_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, the lines that differ, `make crds`."""
    main([str(tmp_path)])
    stale = tmp_path / "trainingruns.yaml"
    text = stale.read_text(encoding="utf-8").replace("maximum: 1024", "maximum: 512")
    stale.write_text(text, encoding="utf-8")
    assert main([str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().err
    assert "make crds" in said
    assert "-                              maximum: 512" in said
    assert "+                              maximum: 1024" in said
    assert stale.read_text(encoding="utf-8") == text


def test_check_misses_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kind that was never generated is a difference."""
    main([str(tmp_path)])
    (tmp_path / "checkpointpolicies.yaml").unlink()
    assert main([str(tmp_path), "--check"]) == 1
    assert "checkpointpolicies.yaml is not what the types say" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "DIR", id="no folder"),
        pytest.param(["no-such-folder"], "for example crds", id="a folder that is not there"),
        pytest.param(["--verify", "."], "--verify", id="an option that is none"),
    ],
)
def test_a_bad_argument_is_one_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the remedy in it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert message.count("\n") == 1
    assert said in message
