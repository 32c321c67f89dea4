import asyncio, httpx, json
from urllib.parse import urlsplit
async def raw(url, data):
    p=urlsplit(url)
    r,w=await asyncio.open_connection(p.hostname,p.port)
    w.write(data); await w.drain()
    out=await asyncio.wait_for(r.read(700),5)
    w.close()
    return out.split(b"\r\n")[0], out[-200:]
async def test_probe(stack, alice):
    key=alice.headers["authorization"].encode()
    made=(await alice.post("/links/api/links",json={"url":"https://e.org/","alias":"abc"})).json()
    print(made)
    async with stack.served() as url:
        async def req(method, path, headers=b"", body=b""):
            d=method+b" "+path+b" HTTP/1.1\r\nConnection: close\r\n"+(b"" if b"Host:" in headers else b"Host: localhost:8080\r\n")+headers+(b"Content-Length: %d\r\n"%len(body) if body else b"")+b"\r\n"+body
            try: print(method, path[:50], headers[:60], body[:50], "->", *await raw(url,d))
            except Exception as e: print(method, path[:50], headers[:60], body[:50], "-> EXC", repr(e))
        for p in (b"/links/abc", b"/links/%ff%fe", b"/links/\xff\xfe", b"/links/api/links/%ff", b"/links/api/links/%00ab", b"/links/%00abc", b"/links/a%2fb", b"/links//abc", b"//links/abc", b"/links/..%2f", b"/%ff", b"/links/abc%2B", b"/links/abc+", b"/links/api/links?q=%00", b"/links/api/links?q=%ff", b"/links/api/links?tag=%00",b"/links/api/links?q=%ED%A0%80",b"/links/api/links?limit=99999999999999999999999",b"/links/api/links?cursor=zzzzzzzzzzz",b"/links/api/links?cursor=0", b"/links/api/links?q=a&q=b", b"/links/api/links?state=", b"/links/api/links/abc/qr?size=1e3",b"/links/api/links/abc/qr?format=png&size=64",b"/links/api/links/abc/stats?period=1y", b"/api/identity/sessions/%00", b"/api/identity/keys/99999999999999999999999999"):
            await req(b"GET",p,b"Authorization: "+key+b"\r\n")
        J=b"Content-Type: application/json\r\nAuthorization: "+key+b"\r\n"
        for body in (b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff", b'{"url":"https://e.org/\xff"}', b'{"url":"https://e.org/","title":"a\\u0000b"}', b'{"url":"https://e.org/","title":"\\ud800"}', b'{"url":"https://e.org/","title":"\xed\xa0\x80"}', b'{"url":"https://e.org/","tags":["a\\u0000"]}', b'{"url":"https://e.org/\\u0000"}', b'{"url":"https://e.org/","expires_at":"9999-12-31T23:59:59-23:59"}',b'{"url":"https://e.org/","expires_at":"9999-12-31T23:59:59Z"}', b'{"url":"https://e.org/","expires_at":"0001-01-01T00:00:00+23:59"}', b'{"url":"https://e.org/","ttl":999999999999999999999999999}', b'{"url":"https://e.org/","max_clicks":1e400}', b'{"url":"https://e.org/","password":"\\u0000"}', b'{"url":"https://e.org/","alias":"abc\\n"}', b'{"url":"https://e.org/","status":"302"}', b'{"url":"https://e.org/","status":true}', b"["*100000, b'{"url":'*50000):
            await req(b"POST",b"/links/api/links",J,body)
            if body in (b"",b"\xff", b"{", b"null",b"[]"):
                await req(b"POST",b"/links/api/links/bulk",J,body)
                await req(b"PATCH",b"/links/api/links/abc",J,body)
                await req(b"POST",b"/api/identity/signin",J,body)
                await req(b"POST",b"/api/identity/keys",J,body)
        for ct in (b"text/plain", b"multipart/form-data", b"application/x-www-form-urlencoded", b"garbage", b"", b"application/json; charset=utf-16", b"application/msgpack", b"multipart/form-data; boundary=x", b"\xff"):
            for b in (b'{"url":"https://e.org/"}', b"--x\r\n", b"\xff\xfe"):
              await req(b"POST",b"/links/api/links",b"Content-Type: "+ct+b"\r\nAuthorization: "+key+b"\r\n",b)
              await req(b"POST",b"/links/api/links/import",b"Content-Type: "+ct+b"\r\nAuthorization: "+key+b"\r\n",b)
        await req(b"POST",b"/links/api/links",J+b"Host: \xff\xfe\r\n",b'{"url":"https://e.org/"}')
        await req(b"GET",b"/links/abc",b"Host: \xff\xfe\r\nReferer: \xff\xfe\r\nUser-Agent: "+b"\xff"*3000+b"\r\n")
        await req(b"GET",b"/links/abc",b"Host: [::\r\nReferer: http://[::1\r\nX-Forwarded-For: \xff, , ,,,\r\nCookie: \xff=\xfe; tenfold=\xff\r\n")
        await req(b"GET",b"/links/api/links",b"Authorization: \xff\xff\r\n")
        await req(b"GET",b"/links/api/links",b"Authorization: Bearer \xff\xff\r\n")
        await req(b"GET",b"/links/api/links",b"Cookie: tenfold_session=\xff\xff\r\n")
        await req(b"GET",b"/links/api/links/abc/live",b"Last-Event-ID: \xff\r\nAuthorization: "+key+b"\r\n")
        await req(b"GET",b"/links/abc",b"User-Agent: "+b"x"*70000+b"\r\n")
        pw=(await alice.post("/links/api/links",json={"url":"https://e.org/","alias":"pww","password":"x"})).json()
        for ct,b in ((b"application/x-www-form-urlencoded", b"password=%ff"),(b"application/x-www-form-urlencoded", b"password=%ED%A0%80"),(b"application/x-www-form-urlencoded", b"password=\xff"),(b"multipart/form-data",b"x"),(b"multipart/form-data; boundary=x",b"--x\r\nContent-Disposition: form-data; name=\"password\"; filename=\"a\"\r\n\r\nx\r\n--x--\r\n"),(b"multipart/form-data; boundary=x",b"--x\r\nContent-Disposition: form-data; na"),(b"application/json",b"{"),(b"text/plain",b"x"),(b"application/x-www-form-urlencoded; charset=nope", b"password=x"),(b"application/x-www-form-urlencoded", b"password=x&password=y"),(b"application/x-www-form-urlencoded", b"p"*5000), (b"application/x-www-form-urlencoded", b"&".join(b"a%d=1"%i for i in range(700)))):
            await req(b"POST",b"/links/pww",b"Content-Type: "+ct+b"\r\n",b)
    await stack.settle()
    print(stack.state("links").recorder.waiting)
