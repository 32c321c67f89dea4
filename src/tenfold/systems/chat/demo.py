"""Believable content: some conversations of the demo account, as they were had once, so that no model is needed."""

from tenfold.platform.demo import DEMO_NAME, demo_account
from tenfold.platform.identity import Principal
from tenfold.systems.chat.actions import imports, threads
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.actions.imports import Had

SIEVE = """Cross out the multiples of each prime; what is left is prime.

```python
def primes(limit: int) -> list[int]:
    is_prime = [False, False] + [True] * (limit - 1)
    for number in range(2, int(limit**0.5) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = [False] * len(is_prime[number * number :: number])
    return [number for number, yes in enumerate(is_prime) if yes]

primes(50)
```

Run it with the button above; the last line is shown."""
RANGES = """| | `rank()` | `dense_rank()` | `row_number()` |
| --- | --- | --- | --- |
| 90 | 1 | 1 | 1 |
| 90 | 1 | 1 | 2 |
| 80 | 3 | 2 | 3 |

`rank()` leaves a gap after ties, `dense_rank()` doesn't, and `row_number()` knows no ties."""

BEST = """Number the rows of each group, and keep the first:

```sql
SELECT * FROM (
  SELECT s.*, row_number() OVER (PARTITION BY player ORDER BY points DESC) AS place
  FROM score s
) ranked
WHERE place = 1;
```"""

#: Title and turns, oldest first.
CONVERSATIONS: tuple[tuple[str, tuple[Had, ...]], ...] = (
    ("A name for a sourdough", (
        Had("My sourdough starter needs a name. Three ideas?", (
            "1. **Clint Yeastwood**\n2. **Bread Pitt**\n3. **Doughlene**",
            "1. **Vincent van Dough**\n2. **Rye-an**\n3. **The Rising Son**",
        )),
        Had("The second one of those. How often do I feed it?", (
            "**Rye-an** eats once a day, in the fridge once a week: equal weights of starter, flour and water.",
        )),
    )),
    ("Window functions", (
        Had("What is the difference between rank, dense_rank and row_number in SQL?", (RANGES,)),
        Had("And how do I get only the best row of each group?", (
            BEST,
        )),
    )),
    ("Primes up to fifty", (
        Had("Write a short Python function that lists the primes up to a number.", (SIEVE,)),
    )),
)  # fmt: skip


async def demo(chat: Chat) -> str:
    """Keep some conversations, unless they are there. Says how to look at them."""
    owner, password = await demo_account(chat.runtime)
    how = f"sign in as {DEMO_NAME} with the password {password}"
    me = Principal(account_id=owner.id, name=owner.name, tier=owner.tier, scopes=frozenset("*"))
    if (await threads.list_threads(chat, me, "", None, 1)).items:
        return f"is there already; {how}"
    for title, turns in CONVERSATIONS:
        await imports.keep_conversation(chat, owner.id, title, turns)
    return f"{len(CONVERSATIONS)} conversations; {how}"
