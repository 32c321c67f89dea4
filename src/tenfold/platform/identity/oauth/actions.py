"""What can be done with applications: register them, let them in, give and take their tokens."""

import time
from collections.abc import Sequence
from hmac import compare_digest
from typing import NamedTuple

import msgspec

from tenfold.platform.db import Tx
from tenfold.platform.errors import Invalid, NotFound, Unauthorized
from tenfold.platform.identity import rules as identity_rules
from tenfold.platform.identity.access import Identity
from tenfold.platform.identity.actions import check_password, confirm_password, refuse, session_of
from tenfold.platform.identity.errors import WrongPassword
from tenfold.platform.identity.oauth import rules, store
from tenfold.platform.identity.oauth.errors import (
    AccessDenied,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from tenfold.platform.identity.oauth.types import (
    Application,
    AuthorizationRequest,
    AuthorizedApplication,
    ClientCredentials,
    Grant,
    GrantSummary,
    NewApplication,
    StoredApplication,
    Token,
    TokenRequest,
)
from tenfold.platform.identity.scopes import SCOPES
from tenfold.platform.identity.types import Principal, SignIn
from tenfold.platform.limits import Limit

NEW_APPLICATIONS = Limit(name="identity.oauth.application", rates={"anonymous": "60/hour"})
TOKENS = Limit(name="identity.oauth.token", rates={"anonymous": "120/minute"})
CONSENTS = Limit(name="identity.oauth.authorize", rates={"anonymous": "100/hour"})

GRANT_TYPES = ("authorization_code", "password", "client_credentials", "refresh_token")
#: Applications that a sweep looks at in one transaction.
_SWEPT = 1000

_BAD_CODE = "The code isn't valid, or is no longer, or is for another application or address."
_BAD_REFRESH = "The refresh_token isn't valid, or is no longer, or is another application's."


class Asked(NamedTuple):
    """What is to be put to a person. With `refused`, that the application asked for something impossible."""

    application: StoredApplication
    redirect_uri: str
    scopes: Sequence[str]
    refused: OAuthError | None


class Answer(NamedTuple):
    """Where to send the browser; or nowhere, and the person takes the code (None: nothing) to the application."""

    redirect_to: str | None
    code: str | None


async def create_application(
    identity: Identity,
    *,
    name: str,
    redirect_uris: Sequence[str],
    scopes: Sequence[str] = (),
    website: str | None = None,
    ip: str,
    confidential: bool = True,
) -> NewApplication:
    """Register a program of somebody else's, which may ask for these scopes (`read`, if there are none).

    One that isn't confidential gets no secret, and must use PKCE. Raises Invalid with the fields, TooManyRequests.
    """
    await identity.limits.take(NEW_APPLICATIONS, ip)
    name, website = name.strip(), website or None
    scopes = rules.read_scopes(" ".join(scopes))
    unknown = next((scope for scope in scopes if scope not in SCOPES), None)
    uri_problem: str | None = f"Name 1 to {rules.MAX_REDIRECT_URIS} addresses."
    if 1 <= len(redirect_uris) <= rules.MAX_REDIRECT_URIS:
        uri_problem = next(filter(None, map(rules.redirect_uri_problem, redirect_uris)), None)
    refuse(
        {
            "name": identity_rules.label_problem(name),
            "redirect_uris": uri_problem,
            "scopes": unknown and f"There is no scope {unknown[:100]} to be asked for.",
            "website": website and rules.website_problem(website),
        }
    )
    secret = identity_rules.new_secret(43) if confidential else None
    secret_digest = identity_rules.digest(secret) if secret else None
    async with identity.db.transaction() as tx:
        stored = await store.insert_application(
            tx, identity.ids.next(), name, website, redirect_uris, scopes, secret_digest
        )
    return NewApplication(**msgspec.structs.asdict(stored), client_secret=secret)


async def find_application(identity: Identity, principal: Principal) -> Application:
    """The application that asks. Raises Unauthorized when it is none."""
    application = None
    if principal.application_id is not None:
        async with identity.db.read(fresh=True) as tx:
            application = await store.find_application(tx, principal.application_id)
    if application is None:
        raise Unauthorized
    return application


async def ask(identity: Identity, request: AuthorizationRequest) -> Asked:
    """Read what an application sends a browser for (RFC 6749, 4.1.1). Raises Invalid when nobody can be told of it."""
    async with identity.db.read(fresh=True) as tx:
        application = await _find_client(tx, request.client_id)
    if application is None:
        raise Invalid(fields={"client_id": "There is no such application here. Register it again."})
    if request.redirect_uri is None or not rules.redirects_to(application.redirect_uris, request.redirect_uri):
        raise Invalid(fields={"redirect_uri": "This isn't an address that the application has registered."})
    scopes = rules.read_scopes(request.scope)
    return Asked(application, request.redirect_uri, scopes, rules.refusal(application, request))


async def allow(identity: Identity, principal: Principal, request: AuthorizationRequest, issuer: str) -> Answer:
    """Give an application a code for what it asks. Raises OAuthError, Invalid, SessionNeeded, TooManyRequests."""
    account_id, _ = session_of(principal)
    await identity.limits.take(CONSENTS, principal)
    asked = await ask(identity, request)
    if asked.refused is not None:
        raise asked.refused
    grant_id = identity.ids.next()
    code = identity_rules.new_token(identity_rules.CODE, account_id, grant_id)
    grant = Grant(
        account_id=account_id,
        id=grant_id,
        application_id=asked.application.id,
        scopes=asked.scopes,
        code_digest=identity_rules.digest(code),
        redirect_uri=asked.redirect_uri,
        challenge=request.code_challenge,
    )
    async with identity.db.transaction() as tx:
        await store.insert_grant(tx, grant)
        pushed_out = await store.delete_idlest_grants(tx, account_id, rules.MAX_GRANTS)
    await _revoked(identity, account_id, pushed_out)
    if asked.redirect_uri == rules.OUT_OF_BAND:
        return Answer(None, code)
    return Answer(rules.redirect(asked.redirect_uri, code=code, state=request.state, iss=issuer), None)


async def deny(identity: Identity, principal: Principal, request: AuthorizationRequest, issuer: str) -> Answer:
    """Tell an application that it may not. Raises Invalid, SessionNeeded."""
    session_of(principal)
    asked = await ask(identity, request)
    return Answer(tell(asked, AccessDenied(), request.state, issuer), None)


def tell(asked: Asked, error: OAuthError, state: str | None, issuer: str) -> str | None:
    """Where to send the browser to tell an application of an error (RFC 6749, 4.1.2.1); None when it can't be told."""
    if asked.redirect_uri == rules.OUT_OF_BAND:
        return None
    return rules.redirect(asked.redirect_uri, error=error.code, error_description=error.detail, state=state, iss=issuer)


async def give_token(identity: Identity, client: ClientCredentials, request: TokenRequest, *, ip: str) -> Token:
    """A token for a code, a password, the application itself or what renews. Raises OAuthError, TooManyRequests."""
    await identity.limits.take(TOKENS, ip)
    application = await _authenticate(identity, client)
    match request.grant_type:
        case "authorization_code":
            return await _exchange(identity, application, request)
        case "password":
            return await _let_in(identity, application, request, ip)
        case "client_credentials":
            return await _let_in_itself(identity, application, request)
        case "refresh_token":
            return await _renew(identity, application, request)
    raise UnsupportedGrantType(", ".join(GRANT_TYPES))


async def revoke_token(identity: Identity, client: ClientCredentials, token: str | None, *, ip: str) -> None:
    """Take back a token of the application's, with all that was granted with it (RFC 7009). Unknown ones are gone.

    Raises OAuthError, TooManyRequests.
    """
    await identity.limits.take(TOKENS, ip)
    application = await _authenticate(identity, client)
    if not token:
        raise InvalidRequest("A token is needed.")
    read = identity_rules.read_token(token)
    of = identity_rules.read_public_id(read.public_id) if read else None
    if read is None or of is None:
        return
    grant, kept, shown = None, None, read.digest
    async with identity.db.transaction() as tx:
        if of.kind == identity_rules.APPLICATION_ACCESS:
            held = await store.find_application_access(tx, of.account_id, of.id)
            kept = held.digest if held else None
        elif of.kind == identity_rules.REFRESH:
            grant = await store.lock_grant(tx, of.account_id, of.id)
            kept, shown = grant.family_digest if grant else None, rules.read_refresh_token(token).family
        else:
            grant = await store.find_grant_of_access(tx, of.account_id, of.id)
            kept = grant.access_digest if grant else None
        if not _same(kept, shown):
            return
        if application.id != (grant.application_id if grant else of.account_id):
            raise UnauthorizedClient("This token was given to another application.")
        if grant is None:
            await store.delete_application_access(tx, application.id, of.id)
        else:
            await store.delete_grant(tx, grant.account_id, grant.id)
    if grant is None:
        await identity.revoked(of.kind, application.id, [of.id])
    else:
        await _revoked(identity, grant.account_id, [grant.access_id])


async def list_authorized(identity: Identity, principal: Principal) -> list[AuthorizedApplication]:
    """The applications that may act for the account, the last allowed first. Raises SessionNeeded."""
    account_id, _ = session_of(principal)
    async with identity.db.read(fresh=True) as tx:
        grants: dict[int, list[GrantSummary]] = {}
        for grant in await store.list_grants(tx, account_id):
            grants.setdefault(grant.application_id, []).append(grant)
        applications = await store.list_applications(tx, list(grants))
    by_id = {application.id: application for application in applications}
    return [
        AuthorizedApplication(
            application=by_id[application_id],
            scopes=rules.merged(scope for grant in own for scope in grant.scopes),
            authorized_at=own[0].created_at,
            used_at=max((grant.used_at for grant in own if grant.used_at), default=None),
        )
        for application_id, own in grants.items()
        if application_id in by_id
    ]


async def revoke_authorized(identity: Identity, principal: Principal, application_id: int) -> None:
    """Let an application act for the account no longer. Raises NotFound, SessionNeeded."""
    account_id, _ = session_of(principal)
    async with identity.db.transaction() as tx:
        access_ids = await store.delete_grants_to(tx, account_id, application_id)
    if not access_ids:
        raise NotFound
    await _revoked(identity, account_id, access_ids)


async def sweep(identity: Identity) -> None:
    """Delete codes that nobody came for, and applications that nobody uses; for a schedule."""
    async with identity.db.transaction() as tx:
        await store.delete_ended_codes(tx, rules.CODE_LIFE)
    last = 0
    while True:
        async with identity.db.transaction() as tx:
            idle = await store.list_idle_applications(tx, rules.APPLICATION_IDLE, last, _SWEPT)
            if not idle:
                return
            granted = await store.list_granted(tx, idle)
            unused = [each for each in idle if each not in granted]
            await store.delete_idle_applications(tx, unused, rules.APPLICATION_IDLE)
        last = idle[-1]


async def _authenticate(identity: Identity, client: ClientCredentials) -> StoredApplication:
    """Which application asks for a token. Raises InvalidClient."""
    async with identity.db.read(fresh=True) as tx:
        application = await _find_client(tx, client.client_id)
    if application is None:
        raise InvalidClient
    if application.secret_digest is None:
        if client.client_secret:
            raise InvalidClient
    elif not compare_digest(identity_rules.digest(client.client_secret or ""), application.secret_digest):
        raise InvalidClient
    return application


async def _find_client(tx: Tx, client_id: str | None) -> StoredApplication | None:
    application_id = rules.read_client_id(client_id or "")
    return None if application_id is None else await store.find_application(tx, application_id)


async def _exchange(identity: Identity, application: StoredApplication, request: TokenRequest) -> Token:
    """A token for a code that a browser brought."""
    read = identity_rules.read_token(request.code or "")
    of = identity_rules.read_public_id(read.public_id) if read else None
    if read is None or of is None or of.kind != identity_rules.CODE:
        raise InvalidGrant(_BAD_CODE)
    async with identity.db.transaction() as tx:
        grant = await store.lock_grant(tx, of.account_id, of.id)
        if grant is None or grant.application_id != application.id or not _same(grant.code_digest, read.digest):
            raise InvalidGrant(_BAD_CODE)
        token = None
        if grant.access_id is None:
            if grant.age_seconds > rules.CODE_LIFE or grant.redirect_uri != request.redirect_uri:
                raise InvalidGrant(_BAD_CODE)
            if not rules.verified(request.code_verifier, grant.challenge):
                raise InvalidGrant("The code_verifier doesn't fit the code_challenge.")
            token = await _give(identity, tx, grant)
        else:
            await store.delete_grant(tx, grant.account_id, grant.id)
    if token is None:
        # Whoever came first may have stolen the code (RFC 6749, 4.1.2).
        await _revoked(identity, grant.account_id, [grant.access_id])
        raise InvalidGrant("The code was used before. What was given for it is revoked.")
    return token


async def _renew(identity: Identity, application: StoredApplication, request: TokenRequest) -> Token:
    """A new token in place of one that ends soon, and what will renew that."""
    text = request.refresh_token or ""
    read = identity_rules.read_token(text)
    of = identity_rules.read_public_id(read.public_id) if read else None
    if of is None or of.kind != identity_rules.REFRESH:
        raise InvalidGrant(_BAD_REFRESH)
    shown = rules.read_refresh_token(text)
    async with identity.db.transaction() as tx:
        grant = await store.lock_grant(tx, of.account_id, of.id)
        if grant is None or grant.application_id != application.id or not _same(grant.family_digest, shown.family):
            raise InvalidGrant(_BAD_REFRESH)
        token = None
        if _same(grant.refresh_digest, shown.digest):
            refused = rules.first_refused(grant.scopes, request.scope.split() if request.scope else ())
            if refused is not None:
                raise InvalidScope(refused)
            token = await _give(identity, tx, grant, before=text)
        else:
            await store.delete_grant(tx, grant.account_id, grant.id)
    await _revoked(identity, grant.account_id, [grant.access_id])
    if token is None:
        # Two hold it, and one of them has no right to (RFC 9700, 4.14.2).
        raise InvalidGrant("The refresh_token was used before. What was granted is revoked.")
    return token


async def _let_in(identity: Identity, application: StoredApplication, request: TokenRequest, ip: str) -> Token:
    """A token for a name and a password, guessed no faster here than at the sign-in."""
    scopes = _wanted(application, request)
    try:
        data = SignIn(name=request.username or "", password=request.password or "")
        checked = await check_password(identity, data, ip=ip)
        account_id = checked.login.id
        grant = Grant(account_id=account_id, id=identity.ids.next(), application_id=application.id, scopes=scopes)
        async with identity.db.transaction() as tx:
            await confirm_password(tx, checked)
            await store.insert_grant(tx, grant)
            token = await _give(identity, tx, grant)
            pushed_out = await store.delete_idlest_grants(tx, account_id, rules.MAX_GRANTS)
    except WrongPassword as error:
        raise InvalidGrant(error.detail) from error
    await _revoked(identity, account_id, pushed_out)
    return token


async def _let_in_itself(identity: Identity, application: StoredApplication, request: TokenRequest) -> Token:
    """A token for an application that acts for nobody."""
    if application.secret_digest is None:
        raise UnauthorizedClient("Only an application that can keep a secret may act for itself.")
    scopes = _wanted(application, request)
    access_id = identity.ids.next()
    kind = identity_rules.APPLICATION_ACCESS
    token = identity_rules.new_token(kind, application.id, access_id)
    async with identity.db.transaction() as tx:
        await store.insert_application_access(tx, application.id, access_id, identity_rules.digest(token), scopes)
        await store.note_application_used(tx, application.id, rules.APPLICATION_NOTED_EVERY)
        pushed_out = await store.delete_oldest_application_accesses(tx, application.id, rules.MAX_APPLICATION_ACCESSES)
    await identity.revoked(kind, application.id, pushed_out)
    return Token(access_token=token, token_type="Bearer", scope=" ".join(scopes), created_at=int(time.time()))  # noqa: S106


async def _give(identity: Identity, tx: Tx, grant: Grant, before: str | None = None) -> Token:
    """A new token for what was granted; one that ends if it can be renewed (`before`: what renewed it)."""
    access_id = identity.ids.next()
    access = identity_rules.new_token(identity_rules.ACCESS, grant.account_id, access_id)
    refresh = life = None
    if rules.OFFLINE_ACCESS in grant.scopes:
        refresh, life = rules.new_refresh_token(grant.account_id, grant.id, before), rules.ACCESS_LIFE
    given = msgspec.structs.replace(
        grant,
        access_id=access_id,
        access_digest=identity_rules.digest(access),
        refresh_digest=refresh and refresh.digest,
        family_digest=refresh and refresh.family,
    )
    await store.give_access(tx, given, life)
    return Token(
        access_token=access,
        token_type="Bearer",  # noqa: S106
        scope=" ".join(grant.scopes),
        created_at=int(time.time()),
        expires_in=life,
        refresh_token=refresh and refresh.text,
    )


def _wanted(application: StoredApplication, request: TokenRequest) -> list[str]:
    """The scopes that a request names. Raises InvalidScope."""
    scopes = rules.read_scopes(request.scope)
    refused = rules.first_refused(application.scopes, scopes)
    if refused is not None:
        raise InvalidScope(refused)
    return scopes


def _same(kept: bytes | None, shown: bytes) -> bool:
    return kept is not None and compare_digest(kept, shown)


async def _revoked(identity: Identity, account_id: int, access_ids: Sequence[int | None]) -> None:
    await identity.revoked(identity_rules.ACCESS, account_id, [each for each in access_ids if each is not None])
