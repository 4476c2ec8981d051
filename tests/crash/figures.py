"""The counts of worlds: jobs, attempts, events and ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec
from crash.laws import Facts

from jupyter_bgstream.core.codec import decode_event


@dataclass
class Figures:
    """The counts of one world, or of several."""

    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))

    def add(self, facts: Facts) -> None:
        """Count a world that has ended."""
        counts = self.counts
        counts["worlds"] += 1
        counts["jobs"] += len(facts.logs)
        counts["requests"] += len(facts.asked)
        counts["requests cut off by a kill"] += facts.hit
        counts["attempts without a request"] += facts.unasked
        counts["events stored"] += sum(map(len, facts.logs.values()))
        counts["events seen by viewers"] += facts.sightings.count
        counts["runs seen by viewers"] += len(facts.sightings.runs)
        counts["answers of REST compared"] += len(facts.sightings.answers) + len(facts.forms)
        counts["reads resumed at a cursor"] += facts.sightings.resumed
        for log in facts.logs.values():
            for raw in log:
                event = msgspec.json.decode(raw)
                if event["type"] == "attempt":
                    counts["attempts"] += 1
                    counts[f"attempts: {event.get('reason', 'first')}"] += 1
                elif event["type"] == "waiting":
                    counts[f"waiting: {event['code']}"] += 1
            end = type(decode_event(log[-1])).__name__.lower()
            counts[f"ended: {end}"] += 1
        counts["requests by another server than the job's own"] += sum(
            facts.lives[asked.life].server != facts.wishes[asked.job].server for asked in facts.asked
        )
