async def test_probe(stack, alice):
    async def g(m, p, **k):
        r=await alice.request(m,p,**k); print(m,p[:80],k if len(str(k))<200 else "", "->",r.status_code,r.text[:300], r.headers.get("content-type"))
    await g("POST","/links/api/links",json={"url":"https://e.org/","alias":"abc"})
    for p in ("?limit=500","?limit=0","?limit=-1","?q="+"a"*300,"?tag="+"a"*300,"?cursor="+"a"*30,"/abc/qr?format=png&size=5000","/abc/qr?size=1","/abc/qr?format=gif"): await g("GET","/links/api/links"+p)
    await g("POST","/links/api/links/bulk",json={"links":[{"url":"https://e.org/","alias":"abcd"},{"url":1},3,{"url":"https://e.org/","status":"302"}]})
    await g("POST","/links/api/links/bulk",json={"links":[]})
    await g("POST","/links/api/links/import",content="url,alias\nhttps://e.org/,zzz\n",headers={"content-type":"text/csv"})
    await g("POST","/links/api/links",json={"url":"https://e.org/","tags":["a",""]})
    await g("POST","/links/api/links",json={"url":"https://e.org/","tags":["a",1]})
    await g("POST","/links/api/links",json={"url":"https://e.org/","nope":["a",1]})
    await g("POST","/links/api/links",json={"title":"x"})
    await g("POST","/links/api/links",json={"url":"https://e.org/","expires_at":"tomorrow"})
    await g("POST","/links/api/links",json={"url":"https://e.org/","ttl":0, "max_clicks":0})
    import json
    d=(await alice.get("/links/api/docs/openapi.json")).json()
    print(json.dumps(d["paths"]["/api/links"],indent=1)[:6000])
    print(json.dumps(d["paths"]["/api/links/import"],indent=1)[:6000])
    print(json.dumps(d["components"]["schemas"]["ShortenLink"],indent=1)[:6000], d.get("servers"))
