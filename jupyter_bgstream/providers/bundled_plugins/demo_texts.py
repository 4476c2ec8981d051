"""Texts of the demo model. All of them are true of jupyter_bgstream."""

from __future__ import annotations

import re


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph, as a model writes them."""
    blocks = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    return "".join(
        block if block.startswith("```") else re.sub(r"(?<=[^\n])\n(?=[^\n|\d*-])", " ", block) for block in blocks
    )


# A user who gets this as the default has no provider yet, so it says how to set one up.
NOT_AN_LLM = (
    "*This is the demo model: a script, not an LLM. For a real one set a key, such as `OPENAI_API_KEY`, where Jupyter"
    " is started; `%bg models` shows what there is.*\n\n"
)

TOUR_REASONING = """\
Somebody new is here. First what just happened in their cell, then what they can try while I am still talking.
"""

TOUR = NOT_AN_LLM + _unwrapped(
    """\
# Your kernel is already free

The cell that started me returned at once. The words you see come from the **Jupyter server**, which keeps this answer
in its database and shows it to whoever looks: this cell, the panel, a script. Run another cell now, and you will see
that nothing waits for me. 🎈

## Try to lose this answer

While I am still talking, do your worst:

1. **Close this tab** and open the notebook again. The text so far is there at once and goes on live.
2. **Restart the kernel.** I do not live there, so I do not notice.
3. **Open the notebook in a second tab.** Both show the same, and neither is in charge.
4. **Save.** The answer goes into the `.ipynb` as Markdown, where nbconvert and other tools can read it.

Only one thing stops me: an explicit cancel. It closes the connection to the model at once, so nobody pays for words
that nobody wants.

## Where things are

| you want to | look at |
|---|---|
| see every job and its state | the panel on the left, or `%bg` in a cell |
| know what finished while you were away | the inbox, whose badge survives a reload |
| stop a job and keep its text | `%bg cancel ID`, or the panel |
| keep a handle on an answer | `%%bg --name answer` |
| continue a conversation | `%%bg --thread ideas` |

A handle is a Python object that reads the same answer from its beginning, each piece exactly once:

```python
for delta in answer:          # live, or from the start if it has ended
    print(delta, end="")

answer.wait(timeout=60)       # or: await answer
print(answer.status, len(answer.text))
```

## Why it can be trusted

Everything I say is **written before it is shown**. Each piece of text becomes a numbered event in a log, and every
viewer is only a reader of that log, with a place of its own in it. Folding the first $n$ events and then the rest
gives the same as folding them all:

$$\\mathrm{fold}(e_{n+1} \\dots e_m,\\; \\mathrm{fold}(e_1 \\dots e_n)) = \\mathrm{fold}(e_1 \\dots e_m)$$

That is why a viewer can leave after event $n$ and come back without a gap or a double. And if the server itself is
killed, what you have seen is still there when it starts again; the job is then marked *interrupted*, never silently
called complete.

## What next

Ask `demo/quick` for something short, let `demo/slow` tell you a story while you work, or send `demo/echo` two messages
in one thread to see that it knows the first. For a real model, set `OPENAI_API_KEY` in the server's environment, or
name any compatible service in Jupyter's config. The key stays on the server; no notebook ever holds it.

That was the tour. If you closed the tab on the way and are reading this now, it worked. ✨
"""
)

QUICK = NOT_AN_LLM + _unwrapped(
    """\
Done in about five seconds. The cell came back long before that: while I was talking, your kernel was free, and my
words were written to the server's log before you saw them. Close the tab next time, and find me in the inbox.
"""
)

SLOW = NOT_AN_LLM + _unwrapped(
    """\
## The night shift

There was once a notebook that could do only one thing at a time. When it asked a question, it held its breath until
the answer came. Nobody could run another cell. Nobody dared to close the lid of the laptop. If the train went into a
tunnel, the question had been for nothing, and the half of the answer that had already arrived was gone with it.

One evening a clerk moved in next door, on the server. "Leave the question with me," she said. "I shall write down every
word as it comes, and number it. Go home if you like."

The notebook did not trust her at first. It left a small question and stayed awake to watch. Word by word the answer
came, and each word was in her ledger before it was on the page. So the notebook left a longer one, and closed its eyes.

At midnight somebody restarted the kernel. The clerk did not look up: the kernel had only handed in the question. At one
o'clock the tab was closed. She went on writing, for a reader who leaves has not said *stop*. At two o'clock two readers
came at once, from two windows, and she read the ledger to both from the place where each had left off. They had the
same words, in the same order, none missing and none twice.

At three o'clock a voice on the line fell silent in the middle of a sentence. A lesser clerk would have drawn a line
under it and called it finished. She waited, as long as was reasonable, and then wrote: *this broke off here.* It was
not what anybody had hoped for, but it was true, and every word before it was kept.

In the morning the notebook opened. On the desk lay a short list of what had ended in the night, each entry unread until
somebody had read it. The long answer was there, whole, and the notebook saved it under its own cover, in plain
Markdown, so that it could be carried anywhere.

"Did it take long?" asked the notebook.

"It took as long as it took," said the clerk. "But you did not have to wait."

If you have been doing something else for this minute, then so did you. That was all I wanted to show.
"""
)

ECHO = NOT_AN_LLM + "Before this message I saw {history}. You said:\n\n{message}\n"

# The words that the model mood knows, and what it says to a text that has none of them.
GOOD = frozenset({"excellent", "fast", "friendly", "good", "great", "happy", "helpful", "love", "lovely", "perfect"})
BAD = frozenset({"awful", "bad", "broken", "cold", "dirty", "late", "loud", "rude", "slow", "terrible"})
NO_MOOD = "I am a script that knows twenty words, and none of them is in this text."
