"""Accounts, relations and lists through a client that others wrote."""

import asyncio
from base64 import b64decode
from typing import Any

from mastodon import Mastodon, MastodonNotFoundError, MastodonUnauthorizedError

from tenfold.platform.identity.actions import create_account, create_key

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")


def use(alice: Any, bob: Any, nobody: Any) -> None:
    """What people do with such a client, one call after the other."""
    try:
        nobody.account_verify_credentials()
    except MastodonUnauthorizedError:
        pass
    else:
        raise AssertionError("a stranger has no account")
    me = alice.account_update_credentials(
        display_name="Alice", note="Hello", avatar=PNG, avatar_mime_type="image/png", bot=True, discoverable=True,
        fields=[("Web", "https://a.example"), ("Town", "Ulm")], default_privacy="unlisted", default_sensitive=True,
        default_language="de",
    )  # fmt: skip
    assert [each.name for each in me.source.fields] == ["Web", "Town"]
    assert (me.bot, me.source.privacy, me.source.sensitive, me.source.language) == (True, "unlisted", True, "de")
    assert "/api/pictures/" in alice.account_delete_avatar().avatar
    assert alice.me().id == alice.account_lookup("alice").id == alice.account(me.id).id
    his = bob.me()
    assert [each.id for each in alice.accounts([his.id, me.id])] == [his.id, me.id]
    assert alice.account_follow(his.id, reblogs=False, notify=True).notifying
    assert [each.id for each in bob.account_followers(his.id)] == [me.id]
    assert [each.id for each in alice.account_following(me.id)] == [his.id]
    assert alice.account_relationships([his.id])[0].following
    assert alice.account_note_set(his.id, "colleague").note == "colleague"
    made = alice.list_create("Work", replies_policy="none", exclusive=True)
    alice.list_accounts_add(made.id, [his.id])
    assert [each.id for each in alice.list_accounts(made.id)] == [his.id]
    assert [each.title for each in alice.account_lists(his.id)] == ["Work"]
    alice.list_accounts_delete(made.id, [his.id])
    assert alice.list_accounts(made.id) == []
    assert alice.list_update(made.id, "Play").title == "Play"
    alice.list_delete(made.id)
    assert alice.lists() == []
    assert alice.account_familiar_followers(me.id)[0].accounts == []
    assert alice.preferences()["posting:default:visibility"] == "unlisted"
    assert alice.suggestions() == alice.suggestions_v2() == []
    assert [each.username for each in alice.directory(order="new")] == ["bob", "alice"]
    assert alice.account_mute(his.id, notifications=False, duration=60).muting
    assert [each.id for each in alice.mutes()] == [his.id]
    assert not alice.account_unmute(his.id).muting
    assert alice.account_block(his.id).blocking
    assert [each.id for each in alice.blocks()] == [his.id]
    assert not alice.account_unblock(his.id).blocking
    bob.account_update_credentials(locked=True)
    assert alice.account_follow(his.id).requested
    assert [each.id for each in bob.follow_requests()] == [me.id]
    assert bob.follow_request_authorize(me.id).followed_by
    assert not bob.account_remove_from_followers(me.id).followed_by
    assert not alice.account_unfollow(his.id).following
    try:
        alice.account(4711)
    except MastodonNotFoundError:
        pass
    else:
        raise AssertionError("there is no such account")


async def test_a_client_does_all_that_it_can(stack: Any) -> None:
    identity = stack.process.runtime.identity
    keys = []
    for name in ("alice", "bob"):
        await create_account(identity, name, "correct horse battery")
        keys.append((await create_key(identity, name)).token)
    async with stack.served() as address:
        clients = [
            Mastodon(access_token=key, api_base_url=f"{address}/feed", version_check_mode="none")
            for key in (*keys, None)
        ]
        await asyncio.to_thread(use, *clients)
