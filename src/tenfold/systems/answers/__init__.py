"""Answers: questions over your own documents, each fact with the passage that says so.

Files, folders and addresses go in; out come answers that cite, or "I don't know" where the documents do not say. Each
document is read in a process of its own, cut along its headings, indexed by words and by meaning in one transaction.
Hard are finding the right passage among a hundred thousand in the blink of an eye, and saying nothing that isn't in it.
Promised: what was acknowledged is ingested in the end, a changed document answers within seconds, a deleted one never.
"""
