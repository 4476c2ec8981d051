"""All contract tests of a store.

The tests of a backend are a subclass with a fixture ``store``, which yields an open, empty store of the server HERE::

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self):
            store = MyStore(server=HERE)
            await store.open()
            yield store
            await store.close()

Closing a store twice does nothing.
"""

from store.contract.adoption import AdoptContract
from store.contract.appends import AppendContract
from store.contract.batch_lifecycle import BatchLifecycleContract
from store.contract.batches import BatchContract
from store.contract.capacity import CapacityContract
from store.contract.changes import ChangesContract
from store.contract.claims import ClaimContract
from store.contract.costs import CostContract
from store.contract.ends import EndContract
from store.contract.images import ImageContract
from store.contract.lists import ListContract
from store.contract.logs import LogContract
from store.contract.notices import CallContract, MuteContract, NoticeContract
from store.contract.pauses import PauseContract
from store.contract.resume import ResumeContract
from store.contract.retention import RetentionContract
from store.contract.retries import RetryContract
from store.contract.submissions import IdContract, SubmitContract
from store.contract.submitters import SubmitterContract
from store.contract.threads import ThreadContract


class StoreContract(
    AppendContract,
    BatchContract,
    PauseContract,
    SubmitContract,
    ClaimContract,
    LogContract,
    EndContract,
    IdContract,
    ListContract,
    NoticeContract,
    ChangesContract,
    CapacityContract,
    AdoptContract,
    RetryContract,
    BatchLifecycleContract,
    MuteContract,
    CallContract,
    RetentionContract,
    CostContract,
    ResumeContract,
    SubmitterContract,
    ThreadContract,
    ImageContract,
):
    """All contract tests of a store."""
