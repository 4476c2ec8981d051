"""Provider errors: what went wrong, as one ProviderError with a code of PROTOCOL.md and a sentence to act on."""

from .classify import has_error, is_error, message_in
from .messages import CODES, ErrorBuilder

__all__ = ["CODES", "ErrorBuilder", "has_error", "is_error", "message_in"]
