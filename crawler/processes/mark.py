"""What is known of a worker after its death: which visit it was parsing, and whether it had memory left.

Lives in memory that a worker process shares with the coordinator: written by the worker, read by whoever buries it.
Imported late, by the pools that make marks: ctypes would cost the start of every crawl 3 milliseconds. Must
not know what a visit is: it holds a number.
"""

from __future__ import annotations

import ctypes


class Mark(ctypes.Structure):
    """A worker's last words; to write them takes no memory."""

    _fields_ = (("value", ctypes.c_int64), ("is_out_of_memory", ctypes.c_bool))

    value: int  #: the tag of the visit that is being parsed, 0 if none is
    is_out_of_memory: bool  #: why it died
