"""Numbers of the protocol: requests, replies, ticks and the error catalogue."""

from enum import IntEnum
from typing import NamedTuple


class Request(IntEnum):
    """What a client asks, by the first field of its message."""

    MARKET_DATA = 1
    CANCEL_MARKET_DATA = 2
    PLACE_ORDER = 3
    CANCEL_ORDER = 4
    OPEN_ORDERS = 5
    ACCOUNT_UPDATES = 6
    EXECUTIONS = 7
    NEXT_ID = 8
    CONTRACT_DETAILS = 9
    LOG_LEVEL = 14
    AUTO_OPEN_ORDERS = 15
    ALL_OPEN_ORDERS = 16
    MANAGED_ACCOUNTS = 17
    HISTORICAL_DATA = 20
    CANCEL_HISTORICAL_DATA = 25
    CURRENT_TIME = 49
    GLOBAL_CANCEL = 58
    MARKET_DATA_TYPE = 59
    POSITIONS = 61
    ACCOUNT_SUMMARY = 62
    CANCEL_ACCOUNT_SUMMARY = 63
    CANCEL_POSITIONS = 64
    START_API = 71
    ACCOUNT_UPDATES_MULTI = 76
    CANCEL_ACCOUNT_UPDATES_MULTI = 77
    OPTION_PARAMETERS = 78
    PNL = 92
    CANCEL_PNL = 93
    PNL_SINGLE = 94
    CANCEL_PNL_SINGLE = 95
    COMPLETED_ORDERS = 99


class Reply(IntEnum):
    """What the gateway answers, by the first field of its message."""

    TICK_PRICE = 1
    TICK_SIZE = 2
    ORDER_STATUS = 3
    ERROR = 4
    OPEN_ORDER = 5
    ACCOUNT_VALUE = 6
    PORTFOLIO = 7
    ACCOUNT_TIME = 8
    NEXT_ID = 9
    CONTRACT_DETAILS = 10
    EXECUTION = 11
    MANAGED_ACCOUNTS = 15
    HISTORICAL_DATA = 17
    TICK_OPTION = 21
    TICK_GENERIC = 45
    CURRENT_TIME = 49
    CONTRACT_DETAILS_END = 52
    OPEN_ORDERS_END = 53
    ACCOUNT_END = 54
    EXECUTIONS_END = 55
    SNAPSHOT_END = 57
    MARKET_DATA_TYPE = 58
    COMMISSION = 59
    POSITION = 61
    POSITIONS_END = 62
    ACCOUNT_SUMMARY = 63
    ACCOUNT_SUMMARY_END = 64
    ACCOUNT_MULTI = 73
    ACCOUNT_MULTI_END = 74
    OPTION_PARAMETERS = 75
    OPTION_PARAMETERS_END = 76
    TICK_PARAMETERS = 81
    PNL = 94
    PNL_SINGLE = 95
    COMPLETED_ORDER = 101
    COMPLETED_ORDERS_END = 102


class Tick(IntEnum):
    """Tick types, live numbers."""

    BID = 1
    ASK = 2
    LAST = 4
    HIGH = 6
    LOW = 7
    VOLUME = 8
    CLOSE = 9
    BID_OPTION = 10
    ASK_OPTION = 11
    LAST_OPTION = 12
    MODEL_OPTION = 13
    OPEN = 14
    IMPLIED_VOLATILITY = 24
    CALL_OPEN_INTEREST = 27
    PUT_OPEN_INTEREST = 28
    CALL_VOLUME = 29
    PUT_VOLUME = 30


class GenericTick(IntEnum):
    """Ticks that a streaming request may ask for beside the usual ones."""

    OPTION_VOLUME = 100
    OPEN_INTEREST = 101
    IMPLIED_VOLATILITY = 106


class Error(NamedTuple):
    """A code and the sentence that goes with it; `{}` takes the details."""

    code: int
    text: str

    def __call__(self, *details: object) -> tuple[int, str]:
        """Code and complete sentence."""
        return self.code, self.text.format(*details)


MESSAGE_RATE = Error(100, "Max rate of messages per second has been exceeded:max={} rec={} (1)")
MARKET_DATA_LINES = Error(101, "Max number of tickers has been reached")
DUPLICATE_TICKER = Error(102, "Duplicate ticker ID")
DUPLICATE_ORDER = Error(103, "Duplicate order id")
MODIFY_FILLED = Error(104, "Cannot modify a filled order")
MODIFY_MISMATCH = Error(105, "Order being modified does not match original order")
PRICE_VARIATION = Error(110, "The price does not conform to the minimum price variation for this contract.")
ORDER_OF_OTHER_CLIENT = Error(135, "Can't find order with ID ={}")
NO_HISTORY = Error(162, "Historical Market Data Service error message:HMDS query returned no data: {}")
NO_SECURITY = Error(200, "No security definition has been found for the request")
REJECTED = Error(201, "Order rejected - reason:{}")
CANCELLED = Error(202, "Order Canceled - reason:{}")
UNKNOWN_TICKER = Error(300, "Can't find EId with tickerId:{}")
UNREADABLE = Error(320, "Server error when reading an API client request.-'bX' : cause - {}")
INVALID = Error(321, "Error validating request.-'bX' : cause - {}")
CLIENT_ID_IN_USE = Error(
    326, "Unable to connect as the client id is already in use. Retry with a unique client id."
)
NO_HISTORY_QUERY = Error(366, "No historical data query found for ticker id:{}")
ORDER_TYPE = Error(387, "Unsupported order type for this exchange and security type.")
UNKNOWN_MESSAGE = Error(505, "Fatal Error: Unknown message id.")
DATA_FARM = Error(2104, "Market data farm connection is OK:{}")
HISTORY_FARM = Error(2106, "HMDS data farm connection is OK:{}")
CONTRACT_FARM = Error(2158, "Sec-def data farm connection is OK:{}")
NON_GUARANTEED = Error(10058, "Non-guaranteed combos of more than two legs are not supported.")
ORDER_NOT_FOUND = Error(10147, "OrderId {} that needs to be cancelled is not found.")
ORDER_NOT_CANCELLABLE = Error(10148, "OrderId {} that needs to be cancelled cannot be cancelled, state: {}.")
