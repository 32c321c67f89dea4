"""Groups of notifications and the ways of what is told to streams, for all that there could be."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.ids import made_at
from tenfold.systems.feed.rules.notifications import GROUPED, WINDOW, Span, group_key, read_group_key, silenced
from tenfold.systems.feed.rules.streams import of_post, topics
from tenfold.systems.feed.types import Mention, Post, Relations, Visibility

IDS = st.integers(1, 10**18 - 1)
ACCOUNTS = st.integers(1, 5)


@given(st.sampled_from(sorted(GROUPED)), IDS, IDS)
def test_a_key_leads_back_to_a_span_with_its_notification(kind, id, post_id):
    about = None if kind == "follow" else post_id
    key = group_key(kind, id, about)
    span = read_group_key(key)
    assert isinstance(span, Span)
    assert (span.kind, span.post_id) == (kind, about)
    assert span.low <= id < span.high
    assert group_key(kind, span.low, about) == group_key(kind, span.high - 1, about) == key
    assert made_at(span.high) - made_at(span.low) <= WINDOW


@given(st.sampled_from(["mention", "status", "update", "follow_request"]), IDS, IDS)
def test_what_is_not_grouped_has_a_key_of_its_own(kind, id, post_id):
    assert read_group_key(group_key(kind, id, post_id)) == id


@given(st.text(max_size=40))
def test_any_text_is_read_as_a_key_or_not_at_all(text):
    of = read_group_key(text)
    assert of is None or text.startswith(("ungrouped-", "favourite-", "reblog-", "follow-"))


@given(st.frozensets(ACCOUNTS), st.frozensets(ACCOUNTS), st.dictionaries(ACCOUNTS, st.sampled_from([0.0, 50.0, 150.0])))
def test_a_mute_silences_until_it_ends(blocks, muted, mutes):
    relations = Relations(blocks=blocks, mutes=mutes, silenced=muted & mutes.keys())
    expected = blocks | {each for each in relations.silenced if mutes[each] != 50.0}
    assert silenced(relations, now=100.0) == expected


@st.composite
def posts(draw: st.DrawFn) -> Post:
    visibility: Visibility = draw(st.sampled_from(["public", "unlisted", "private", "direct"]))
    return Post(
        id=1,
        author_id=draw(ACCOUNTS),
        text="",
        spoiler_text="",
        visibility=visibility,
        sensitive=False,
        language=None,
        in_reply_to_id=None,
        in_reply_to_account_id=draw(st.none() | ACCOUNTS),
        conversation_id=1,
        reblog_of_id=draw(st.none() | st.just(2)),
        mentions=[Mention(each, str(each)) for each in draw(st.sets(ACCOUNTS))],
        tags=draw(st.lists(st.sampled_from(["Cats", "dogs"]), unique=True)),
        media=[],
        application=None,
        created_at=datetime(2030, 1, 1, tzinfo=UTC),
        edited_at=None,
        favourites=0,
        reblogs=0,
        replies=0,
    )


@given(posts(), st.sampled_from(["update", "status.update", "delete"]))
def test_only_what_is_public_goes_to_strangers(post, event):
    ways = set(topics(of_post(post, event)))
    kinds = {kind for kind, _ in ways}
    if post.visibility == "direct":
        assert ways == {("direct", each) for each in {post.author_id, *(mention.id for mention in post.mentions)}}
    elif post.visibility != "public" or post.reblog_of_id is not None:
        assert ways == {("author", post.author_id)}
    else:
        assert {tag for kind, tag in ways if kind == "tag"} == {tag.lower() for tag in post.tags}
        assert ("public" in kinds) == (post.in_reply_to_account_id in (None, post.author_id))
    assert "media" not in kinds
