"""What all tests share: signals as a terminal gives them, also when the suite runs in the background or under nohup."""

from __future__ import annotations

import signal

# An ignored signal stays ignored in every child, so ctrl+c and a closed terminal would do nothing in the tests.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)
