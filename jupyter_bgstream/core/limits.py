"""What a job may ask for, beyond what its types say."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import Invalid
from .job import ImagePart, JobSpec
from .parameters import check_params

MAX_BODY = 32 * 1024 * 1024  # bytes of a request's body: pictures are sent in it
MAX_IMAGES = 50  # of a job
MAX_IMAGE_BYTES = 10 * 1024 * 1024  # of one of them


def check_spec(spec: JobSpec, *, aliases: Iterable[str] = ()) -> None:
    """Raise Invalid for what no provider could answer, or must not be told by a notebook.

    ``aliases`` are those that the model might have been.
    """
    provider, slash, name = spec.model.partition("/")
    if not (provider and slash and name):
        instead = f", or one of the aliases {', '.join(aliases)}" if aliases else ""
        sentence = f"{spec.model!r} is not a model: write provider/name, such as openai/gpt-6-luna{instead}."
        raise Invalid(sentence, field="model")
    if not any(message.text.strip() or message.images for message in spec.messages):
        raise Invalid("There is nothing to ask: every message is empty.", field="messages")
    _check_images(spec)
    check_params(spec.params)


def _check_images(spec: JobSpec) -> None:
    count = 0
    for turn, message in enumerate(spec.messages):
        for place, part in enumerate(() if isinstance(message.content, str) else message.content):
            if not isinstance(part, ImagePart):
                continue
            count += 1
            field = f"messages[{turn}].content[{place}].data"
            if not part.data:
                raise Invalid("An image is empty.", field=field)
            if len(part.data) > MAX_IMAGE_BYTES:
                raise Invalid(
                    f"An image has {len(part.data) / 2**20:.1f} MiB; at most {MAX_IMAGE_BYTES // 2**20} MiB are taken:"
                    " make it smaller.",
                    field=field,
                )
    if count > MAX_IMAGES:
        raise Invalid(f"A job takes at most {MAX_IMAGES} images; this one has {count}.", field="messages")
