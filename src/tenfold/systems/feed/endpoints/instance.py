"""What the instance says about itself, https://docs.joinmastodon.org/methods/instance/, and what it has none of."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import MediaType, Response, delete, get, post
from litestar.di import NamedDependency

from tenfold import __version__
from tenfold.platform.errors import Invalid, NotFound
from tenfold.platform.identity import Principal
from tenfold.systems.feed.actions import instance
from tenfold.systems.feed.actions.accounts import MOST_FIELD, MOST_FIELDS, MOST_NAME, MOST_NOTE
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.actions.media import MOST_DESCRIPTION
from tenfold.systems.feed.actions.posts import MOST_PINS
from tenfold.systems.feed.endpoints.api import MastodonController, answer
from tenfold.systems.feed.rules import text
from tenfold.systems.feed.store.instance import Usage

#: The version of the API that clients look at to know what they can ask for, then our own.
VERSION = f"4.4.0 (compatible; Tenfold {__version__})"
#: Grouped notifications are there from 2 on.
API_VERSIONS = {"mastodon": 2}
#: Everybody may see it, and many ask.
CACHED = {"cache-control": "public, max-age=180"}

PICTURES = ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"]
FILMS = ["video/mp4", "video/webm"]
SOUNDS = ["audio/mpeg", "audio/ogg", "audio/wav", "audio/flac", "audio/mp4"]

_encode = msgspec.json.encode


class Rule(msgspec.Struct):
    """https://docs.joinmastodon.org/entities/Rule/."""

    id: str
    text: str
    hint: str = ""
    translations: dict[str, Any] = {}


class NotOffered(Invalid):
    """Validation failed: this server doesn't offer that."""


class InstanceEndpoints(MastodonController):
    path = "/api"

    @get("/v2/instance")
    async def instance(self, feed: NamedDependency[Feed]) -> Response[bytes]:
        return answer(_encode(_second(feed, await instance.usage(feed))), headers=CACHED)

    @get("/v1/instance")
    async def first_instance(self, feed: NamedDependency[Feed]) -> Response[bytes]:
        return answer(_encode(_first(feed, await instance.usage(feed))), headers=CACHED)

    @get("/v1/instance/rules")
    async def rules(self, feed: NamedDependency[Feed]) -> Response[bytes]:
        return answer(_encode(_rules(feed)), headers=CACHED)

    @get("/v1/instance/extended_description")
    async def extended_description(self, feed: NamedDependency[Feed]) -> Response[bytes]:
        return answer(_encode({"updated_at": None, "content": _html(feed)}), headers=CACHED)

    @get("/v1/instance/privacy_policy")
    async def privacy_policy(self) -> Response[bytes]:
        raise NotFound

    @get("/v1/instance/terms_of_service")
    async def terms_of_service(self) -> Response[bytes]:
        raise NotFound

    @get("/v1/instance/activity")
    async def activity(self) -> Response[bytes]:
        """Weekly figures aren't published here, which is what 404 says."""
        raise NotFound

    @get("/v1/instance/translation_languages")
    async def translation_languages(self) -> Response[bytes]:
        return answer(b"{}", headers=CACHED)

    @get(["/v1/instance/peers", "/v1/instance/domain_blocks", "/v1/custom_emojis", "/v1/announcements"])
    async def nothing(self) -> Response[bytes]:
        """There are no other instances, no pictures among letters, and nothing to announce."""
        return answer(b"[]", headers=CACHED)


class NothingEndpoints(MastodonController):
    """What this server doesn't keep. Clients ask for it all the same, and find none of it."""

    path = "/api"

    @get("/v1/filters")
    async def old_filters(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        return _none(principal, "read:filters")

    @get("/v2/filters")
    async def filters(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        return _none(principal, "read:filters")

    @get(["/v1/featured_tags", "/v1/featured_tags/suggestions", "/v1/endorsements"])
    async def featured(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        return _none(principal, "read:accounts")

    @get("/v1/followed_tags")
    async def followed_tags(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        return _none(principal, "read:follows")

    @get("/v1/scheduled_statuses")
    async def scheduled_statuses(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        return _none(principal, "read:statuses")

    @get("/v1/domain_blocks")
    async def domain_blocks(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        return _none(principal, "read:blocks")

    @get("/v1/push/subscription")
    async def push_subscription(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        principal.require("push")
        raise NotFound

    @delete("/v1/push/subscription", status_code=200)
    async def delete_push_subscription(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        principal.require("push")
        return answer(b"{}")

    @post(["/v1/filters", "/v2/filters", "/v1/featured_tags", "/v1/domain_blocks", "/v1/push/subscription"])
    async def refuse(self, principal: NamedDependency[Principal]) -> Response[bytes]:
        """None of it can be made either."""
        principal.require("write")
        raise NotOffered


class HealthEndpoints(MastodonController):
    path = "/health"

    @get(media_type=MediaType.TEXT)
    async def health(self) -> str:
        """That this process answers; /readyz of the platform says whether all that it needs does."""
        return "OK"


class NodeInfoEndpoints(MastodonController):
    """https://nodeinfo.diaspora.software/protocol, by which directories know what runs here."""

    path = "/nodeinfo"

    @get("/2.0")
    async def nodeinfo(self, feed: NamedDependency[Feed]) -> Response[bytes]:
        usage = await instance.usage(feed)
        body = {
            "version": "2.0",
            "software": {"name": "tenfold", "version": __version__},
            "protocols": [],
            "services": {"inbound": [], "outbound": []},
            "usage": {"users": {"total": usage.accounts, "activeMonth": usage.active}, "localPosts": usage.posts},
            "openRegistrations": True,
            "metadata": {"nodeName": feed.settings.title, "nodeDescription": feed.settings.description},
        }
        return answer(_encode(body), headers=CACHED)


def _none(principal: Principal, scope: str) -> Response[bytes]:
    principal.require(scope)
    return answer(b"[]")


def _second(feed: Feed, usage: Usage) -> dict[str, Any]:
    settings = feed.settings
    return {
        "domain": urlsplit(feed.url).netloc,
        "title": settings.title,
        "version": VERSION,
        "source_url": feed.url,
        "description": settings.description,
        "usage": {"users": {"active_month": usage.active}},
        "thumbnail": {"url": f"{_origin(feed)}/static/icon-512.png", "blurhash": None, "versions": {}},
        "icon": [{"src": f"{_origin(feed)}/static/icon-{size}.png", "size": f"{size}x{size}"} for size in (192, 512)],
        "languages": ["en"],
        "configuration": _configuration(feed)
        | {
            "urls": {
                "streaming": _streaming(feed),
                "status": None,
                "about": None,
                "privacy_policy": None,
                "terms_of_service": None,
            },
            "vapid": {"public_key": ""},
            "translation": {"enabled": False},
            "limited_federation": True,
        },
        "registrations": {
            "enabled": True,
            "approval_required": False,
            "reason_required": False,
            "message": None,
            "min_age": None,
            "url": f"{_origin(feed)}/signup",
        },
        "api_versions": API_VERSIONS,
        "contact": {"email": settings.contact, "account": None},
        "rules": _rules(feed),
    }


def _first(feed: Feed, usage: Usage) -> dict[str, Any]:
    settings = feed.settings
    return {
        "uri": urlsplit(feed.url).netloc,
        "title": settings.title,
        "short_description": settings.description,
        "description": _html(feed),
        "email": settings.contact,
        "version": VERSION,
        "urls": {"streaming_api": _streaming(feed)},
        "stats": {"user_count": usage.accounts, "status_count": usage.posts, "domain_count": 0},
        "thumbnail": f"{_origin(feed)}/static/icon-512.png",
        "languages": ["en"],
        "registrations": True,
        "approval_required": False,
        "invites_enabled": False,
        "configuration": _configuration(feed),
        "contact_account": None,
        "rules": _rules(feed),
    }


def _configuration(feed: Feed) -> dict[str, Any]:
    settings = feed.settings
    return {
        "accounts": {
            "max_featured_tags": 0,
            "max_pinned_statuses": MOST_PINS,
            "max_display_name_length": MOST_NAME,
            "max_note_length": MOST_NOTE,
            "max_profile_fields": MOST_FIELDS,
            "profile_field_name_limit": MOST_FIELD,
            "profile_field_value_limit": MOST_FIELD,
        },
        "statuses": {
            "max_characters": settings.characters,
            "max_media_attachments": settings.attachments,
            "characters_reserved_per_url": settings.url_characters,
        },
        "media_attachments": {
            "supported_mime_types": [*PICTURES, *FILMS, *SOUNDS],
            "description_limit": MOST_DESCRIPTION,
            "image_size_limit": settings.image_bytes,
            "image_matrix_limit": settings.image_pixels,
            "video_size_limit": settings.video_bytes,
            "video_frame_rate_limit": 120,
            "video_matrix_limit": 8_294_400,
        },
        # There are no polls; clients that ask whether there are find no room for options.
        "polls": {
            "max_options": 0,
            "max_characters_per_option": 0,
            "min_expiration": 0,
            "max_expiration": 0,
        },
    }


def _rules(feed: Feed) -> Sequence[Rule]:
    return [Rule(str(number), each) for number, each in enumerate(feed.settings.rules, 1)]


def _html(feed: Feed) -> str:
    return text.to_html(feed.settings.description, [], feed.url)


def _origin(feed: Feed) -> str:
    """Where what all systems share is: pictures, the page to sign up."""
    parts = urlsplit(feed.url)
    return f"{parts.scheme}://{parts.netloc}"


def _streaming(feed: Feed) -> str:
    """Where WebSockets are: ws:// where the rest is http://."""
    return f"ws{feed.url.removeprefix('http')}"
