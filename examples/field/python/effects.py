"""The business action of all consumers here: it tells the downstream system of a record."""

import os
import urllib.request

SINK = os.environ["KSIM_SINK_URL"]


def process(topic: str, partition: int, offset: int, value: bytes) -> None:
    request = urllib.request.Request(
        SINK,
        data=value or b"",
        headers={"Ksim-Record": f"{topic}/{partition}/{offset}"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # a refusal raises
        answer.read()
