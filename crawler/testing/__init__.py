"""What somebody needs to test what they plug into the crawler: today, a transport of their own.

Runs in their test process, with servers on loopback. No part of the crawler imports it; it needs no test framework.
"""

from crawler.testing.contract import TransportContract
from crawler.testing.server import RawServer, Visitor, answers_once_with, answers_with, response

__all__ = ["RawServer", "TransportContract", "Visitor", "answers_once_with", "answers_with", "response"]
