"""The downstream system: one HTTP POST for each record, over a connection that is kept."""

import http.client
import urllib.parse

APPLIED, POISON, NOT_OWNER, UNAVAILABLE = "applied", "poison", "not owner", "unavailable"


class Effects:
    """Posts effects. Not for several threads at once."""

    def __init__(self, url, timeout):
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self._path = parts.path

    def apply(self, msg):
        """Returns (outcome, reason, seconds to wait before the next attempt or None)."""
        headers = {"Ksim-Record": f"{msg.topic()}/{msg.partition()}/{msg.offset()}"}
        try:
            # A tombstone has no value; it is an effect like any other.
            self._connection.request("POST", self._path, msg.value() or b"", headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            # Nobody knows whether it was applied: at-least-once means again.
            self._connection.close()
            return UNAVAILABLE, f"no answer: {error!r}", None
        if 200 <= response.status < 300:
            return APPLIED, "", None
        reason = f"HTTP {response.status}: {body[:200].decode(errors='replace')}"
        if response.status == 409:
            return NOT_OWNER, reason, None
        # 408 and 429 are about the moment, other 4xx about the record.
        if 400 <= response.status < 500 and response.status not in (408, 429):
            return POISON, reason, None
        return UNAVAILABLE, reason, _seconds(response.getheader("Retry-After"))


def _seconds(retry_after):
    try:
        return float(retry_after)
    except (TypeError, ValueError):  # absent, or a date
        return None
