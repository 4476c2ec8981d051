"""Wire schemas: what the server encodes, OpenAPI describes and clients decode. See PROTOCOL.md."""

from __future__ import annotations

from ..batch_pause import Paused
from ..batches import EndCounts
from ..costs import Cost, CostRow, Price
from ..notices import Mute
from ..state import ErrorInfo, Partial
from .batches import AnswerPage, BatchInfo, BatchItemInfo, BatchUsage
from .enums import BATCH_STATUSES, STATUSES
from .inbox import Inbox, MuteList, NoticeInfo
from .jobs import CitationInfo, ImageInfo, JobDetail, JobInfo, JobPage, LogPage, SourceInfo, UsageInfo
from .messages import CacheControlInfo, MessageInfo, PartInfo, ThreadMessageInfo, ToolCallInfo
from .server_info import CostList, ErrorResponse, KernelInfo, LimitsInfo, ModelsInfo, ProviderInfo, ServerStatus
from .threads import ThreadInfo, ThreadMessages, ThreadPage

__all__ = [
    "BATCH_STATUSES",
    "STATUSES",
    "AnswerPage",
    "BatchInfo",
    "BatchItemInfo",
    "BatchUsage",
    "CacheControlInfo",
    "CitationInfo",
    "Cost",
    "CostList",
    "CostRow",
    "EndCounts",
    "ErrorInfo",
    "ErrorResponse",
    "ImageInfo",
    "Inbox",
    "JobDetail",
    "JobInfo",
    "JobPage",
    "KernelInfo",
    "LimitsInfo",
    "LogPage",
    "MessageInfo",
    "ModelsInfo",
    "Mute",
    "MuteList",
    "NoticeInfo",
    "PartInfo",
    "Partial",
    "Paused",
    "Price",
    "ProviderInfo",
    "ServerStatus",
    "SourceInfo",
    "ThreadInfo",
    "ThreadMessageInfo",
    "ThreadMessages",
    "ThreadPage",
    "ToolCallInfo",
    "UsageInfo",
]
