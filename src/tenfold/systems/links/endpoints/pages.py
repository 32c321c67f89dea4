"""The few pages a visitor meets on the way: unknown, gone, guarded, previewed. Each is whole and needs no script."""

from collections.abc import Mapping
from html import escape

from litestar import Response
from litestar.types import Send

from tenfold.systems.links.types import Link

_STYLE = """
:root{color-scheme:light dark;--ground:#f4f6f4;--ink:#111513;--soft:#545c57;--card:#ffffff;--line:#dbe0dc;
--accent:#b53a00}
@media(prefers-color-scheme:dark){:root{--ground:#0e1210;--ink:#eef2ef;--soft:#9ba59f;--card:#171b19;--line:#2c332f;
--accent:#ff8a4d}
}
*{box-sizing:border-box}
body{margin:0;min-height:100dvh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);
color:var(--ink);font:1.0625rem/1.55 ui-sans-serif,system-ui,sans-serif}
main{width:min(32rem,100%);background:var(--card);border:1px solid var(--line);border-radius:1.25rem;
padding:clamp(1.5rem,6vw,2.75rem)}
h1{margin:0 0 .5rem;font-size:1.6rem;line-height:1.2;letter-spacing:-.02em;text-wrap:balance}
p{margin:.5rem 0;color:var(--soft)}
.mark{font-size:2.5rem;line-height:1;margin-bottom:1rem;color:var(--accent)}
code,.url{font-family:ui-monospace,monospace;overflow-wrap:anywhere;color:var(--ink)}
.url{display:block;padding:.75rem 1rem;border:1px solid var(--line);border-radius:.75rem;margin:1rem 0}
label{display:block;font-weight:600;margin:1.25rem 0 .35rem}
input{width:100%;font:inherit;padding:.7rem .9rem;border:1px solid var(--line);border-radius:.75rem;
background:var(--ground);color:inherit}
button,.go{display:inline-block;margin-top:1rem;font:inherit;font-weight:600;padding:.7rem 1.4rem;border:0;
border-radius:.75rem;background:var(--accent);color:var(--card);cursor:pointer;text-decoration:none}
:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
[role=alert]{color:var(--accent)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:1rem 0}
dt{color:var(--soft)}
dd{margin:0}
"""
_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # No form-action here: after the right password the form is answered with a redirect to wherever the link leads.
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex"),
    (b"referrer-policy", b"no-referrer"),
]


def _page(title: str, mark: str, body: str) -> bytes:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f'<body><main><div class="mark" aria-hidden="true">{mark}</div><h1>{escape(title)}</h1>{body}</main></body>'
        "</html>"
    ).encode()


def unknown(code: str) -> bytes:
    return _page(
        "This link leads nowhere",
        "?",
        f"<p>There is no link <code>{escape(code[:64])}</code>. Capital and small letters differ: check the address, "
        "or ask whoever gave it to you.</p>",
    )


def gone(code: str, state: str) -> bytes:
    reasons = {
        "expired": "Its owner gave it an end, and that has passed.",
        "disabled": "Its owner has switched it off.",
        "exhausted": "It could be followed a certain number of times, and that number is reached.",
    }
    return _page(
        "This link has ended",
        "&empty;",
        f"<p><code>{escape(code)}</code> did lead somewhere once. {reasons[state]}</p>",
    )


def password(code: str, wrong: str = "") -> bytes:
    alert = f'<p role="alert">{escape(wrong)}</p>' if wrong else ""
    return _page(
        "This link asks for a password",
        "&#9919;",
        f'{alert}<form method="post" action="{escape(code)}"><label for="password">Password</label>'
        '<input id="password" name="password" type="password" required autofocus maxlength="128" '
        'autocomplete="off"><button>Follow the link</button></form>',
    )


def preview(link: Link) -> bytes:
    """Where a link leads; what a password or a number of clicks guards stays unseen."""
    if link.has_password:
        where = "<p>Where it leads is known to those who have its password.</p>"
    elif link.max_clicks is not None:
        where = "<p>It can be followed a certain number of times, and looking would be one: follow it to see.</p>"
    else:
        where = f'<span class="url">{escape(link.url)}</span>'
    title = f"<dt>Title</dt><dd>{escape(link.title)}</dd>" if link.title else ""
    ends = f"<dt>Ends</dt><dd>{link.expires_at:%d %B %Y, %H:%M} UTC</dd>" if link.expires_at else ""
    follow = (
        f'<a class="go" rel="noreferrer" href="{escape(link.code)}">Follow it</a>' if link.state == "active" else ""
    )
    return _page(
        "Where this link leads",
        "&#8599;",
        f"{where}<dl>{title}<dt>Made</dt><dd>{link.created_at:%d %B %Y}</dd>{ends}<dt>State</dt><dd>{link.state}</dd>"
        f"</dl>{follow}",
    )


def unavailable() -> bytes:
    return _page(
        "One moment, please",
        "&hellip;",
        "<p>The place where links are kept doesn't answer right now. Reload the page in a few seconds.</p>",
    )


def response(status: int, page: bytes, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    own = {name.decode(): value.decode() for name, value in _HEADERS}
    return Response(page, status_code=status, headers={**own, **(headers or {})})


def leave(url: str) -> Response[bytes]:
    """Answer a form with a redirect that is followed by GET and kept by nobody."""
    return Response(b"", status_code=303, headers={"location": url, "cache-control": "no-store"})


async def send(send: Send, status: int, page: bytes, *, head: bool) -> None:
    headers = [*_HEADERS, (b"content-length", str(len(page)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else page, "more_body": False})
