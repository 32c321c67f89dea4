"""A client in a process of its own, which is killed while it works: address, token, folder, talk, own, others'.

It says "0", "1" ... as far as it hasn't before, and ends when the server has all of them and it has all of the others'.
"""

import asyncio
import sys
from pathlib import Path

from tenfold.contracts.messages.client import Client
from tenfold.contracts.messages.incoming import kept


async def work(address: str, token: str, folder: str, talk: str, own: int, others: int) -> None:
    async with Client(address, token, Path(folder)) as client:
        said = len(kept(client._keep, "WHERE device = ?", client.device)) + client._outgoing.waiting
        for n in range(said, own):
            client.say(talk, str(n))
            if n % 20 == 19:
                print(n, flush=True)
                await asyncio.sleep(0)  # what is on its way goes on
        found = 0
        async for _, message in client.messages():
            found += message.account != client.account
            print(found, flush=True)
            if found == others:
                break
        await client.all_sent()
        # What it has acknowledged with the server's last word needn't come again.
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:5], *map(int, sys.argv[5:])))  # type: ignore[call-arg, arg-type]
