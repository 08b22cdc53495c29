"""The web socket of a live call: blocks of 16-bit samples in both directions, and figures as text."""

import asyncio
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.page.live_speech import LiveCall, LiveSpeech

PATH = "/live/sound"
LARGEST_BLOCK = 9600  # samples: a tenth of a second at the highest rate
SILENT_S = 10.0  # a browser that sends nothing for so long is gone
TOLD_EVERY_S = 1.0
AHEAD_S = 3.0  # so much more than its clock allows may arrive at once, after a slow network
NORMAL, REFUSED, FAILED = 1000, 1008, 1011  # codes of RFC 6455
_TICKET = re.compile(r"[A-Za-z0-9_-]{32}")
_RATE = re.compile(r"[0-9]{4,5}")


class LiveSocket:
    """An ASGI application for web sockets. It gives an answer to nobody without a ticket."""

    def __init__(self, live: LiveSpeech):
        self.live = live

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        call = self._connect(scope)
        if call is None:
            return await send({"type": "websocket.close", "code": REFUSED})
        code, reason = NORMAL, ""
        try:
            await send({"type": "websocket.accept"})
            code = await self._exchange(call, receive, send)
        except FaceVCError as error:
            code, reason = FAILED, str(error)[:120]
        except (TimeoutError, OSError):
            code = NORMAL  # the browser is gone
        finally:
            self.live.end(call)
        if code >= 0:
            await send({"type": "websocket.close", "code": code, "reason": reason})

    def _connect(self, scope: Any) -> LiveCall | None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        ticket, rate = (query.get(name, [""])[0] for name in ("ticket", "rate"))
        if not _TICKET.fullmatch(ticket) or not _RATE.fullmatch(rate):
            return None
        return self.live.connect(ticket, int(rate))

    async def _exchange(self, call: LiveCall, receive: Any, send: Any) -> int:
        """Passes blocks on until the browser leaves (-1), or sends what it should not."""
        path = call.path
        if path is None:
            return FAILED
        began, told, arrived = time.monotonic(), 0.0, 0
        while True:
            message = await asyncio.wait_for(receive(), SILENT_S)
            if message["type"] == "websocket.disconnect":
                return -1
            block = read_block(message.get("bytes"))
            passed = time.monotonic() - began
            if block is None or arrived > (passed + AHEAD_S) * path.in_rate:
                return REFUSED
            arrived += len(block)
            heard = np.clip(call.exchange(block) * 32767, -32768, 32767).astype("<i2")
            await send({"type": "websocket.send", "bytes": heard.tobytes()})
            if passed - told >= TOLD_EVERY_S:
                told = passed
                figures = path.figures.finish_second()
                await send({"type": "websocket.send", "text": json.dumps(figures)})


def read_block(data: object) -> np.ndarray | None:
    """Reads 16-bit samples -> (n,) float32 in [-1, 1]. None if it is no block."""
    if not isinstance(data, bytes) or not data or len(data) % 2 or len(data) > 2 * LARGEST_BLOCK:
        return None
    return (np.frombuffer(data, "<i2") / np.float32(32768)).astype(np.float32)
