"""Chat: conversations with language models that run on machines of one's own.

Questions come in through the OpenAI API, which existing clients speak; answers go out word by word, as they are found.
A small model answers what is simple and a larger one the rest, chosen by a classifier that costs less than either.
Hard are the waiting (few slots, many people, a fair queue that tells the place) and the forgetting (a model remembers a
prefix only where it has seen it). Promised: nobody's answer breaks silently, and what an answer took is in the ledger.
"""
