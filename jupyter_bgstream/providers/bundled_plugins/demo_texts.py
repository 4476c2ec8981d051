"""Texts of the demo model. All of them are true of jupyter_bgstream."""

from pathlib import Path

# The default model of users without a provider, so it says how to set one up.
NOT_AN_LLM = (
    "*This is the demo model: a script, not an LLM. For a real one set a key, such as `OPENAI_API_KEY`, where Jupyter"
    " is started; `%bg models` shows what there is.*\n\n"
)

TOUR_REASONING = """\
A new user is here. First what just happened in the cell, then what to try while I am still talking.
"""


def _text(name: str) -> str:
    return NOT_AN_LLM + Path(__file__).with_name(f"demo_{name}.md").read_text("utf-8")


TOUR, QUICK, SLOW = map(_text, ("tour", "quick", "slow"))
ECHO = NOT_AN_LLM + "Before this message I saw {history}. You said:\n\n{message}\n"

# The words that the model mood knows, and its answer to a text without them.
GOOD = frozenset({"excellent", "fast", "friendly", "good", "great", "happy", "helpful", "love", "lovely", "perfect"})
BAD = frozenset({"awful", "bad", "broken", "cold", "dirty", "late", "loud", "rude", "slow", "terrible"})
NO_MOOD = "I am a script that knows twenty words, and none of them is in this text."
