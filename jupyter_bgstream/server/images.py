"""REST handler: images of answers, which are untrusted files from Jupyter's own origin."""

from contextlib import suppress

from tornado.httputil import HTTPOutputError
from tornado.iostream import StreamClosedError

from ..core.errors import RequestError
from ..store.port_values import IMAGE_CHUNK, StoredImage
from .base import ApiHandler, endpoint


class ImageHandler(ApiHandler):
    """``jobs/{id}/images/{image}``."""

    @endpoint
    async def get(self, job_id: str, image_id: str) -> None:
        """Return the file of an image, in chunks."""
        image = await self.engine.jobs.image(self.owner, job_id, image_id)
        self.set_header("ETag", f'"{image.log}-{image.id}"')
        if self.check_etag_header():
            self._set_headers()
            self.set_status(304)
            self.finish()
            return
        chunk = b""
        if self.request.method == "GET":
            chunk = await self.engine.jobs.image_chunk(image, 0)  # before the headers, so that an error has a response
        self._set_headers()
        self.set_header("Content-Disposition", f'inline; filename="{_file_name(image)}"')
        self.set_header("Content-Length", str(image.bytes))
        if self.request.method == "GET":
            with suppress(StreamClosedError):  # the client has disconnected
                await self._send(image, chunk)
        with suppress(StreamClosedError, HTTPOutputError):
            self.finish(set_content_type=image.media_type)

    async def _send(self, image: StoredImage, chunk: bytes) -> None:
        self.set_header("Content-Type", image.media_type)
        self.write(chunk)
        await self.flush()
        try:
            for number in range(1, -(-image.bytes // IMAGE_CHUNK)):
                self.write(await self.engine.jobs.image_chunk(image, number))
                await self.flush()
        except RequestError as error:  # such as deleted meanwhile; the client sees fewer bytes than Content-Length
            self.log.info("job %s: an image is cut off: %s", image.job, error)

    def _set_headers(self) -> None:
        # A file may begin like an image and still be another type to a browser: these headers allow an image only.
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        self.set_header("Cache-Control", "private, max-age=31536000, immutable")


def _file_name(image: StoredImage) -> str:
    return f"{image.job}-{image.id}.{image.media_type.partition('/')[2]}"


ROUTES = [(r"jobs/([A-Za-z0-9_-]+)/images/([A-Za-z0-9_-]+)", ImageHandler)]
