"""Links: each one that stands on a page, those that lead nowhere, and the pages that none leads to.

They are kept with the page they stand on, as JSON (`pages.links`); what is here are questions to that. Must not know
what a link is (`pages.parse`), nor which are followed. The views run in the process that asks.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Feature
from crawler.ledger.phrases import LATEST_OF_URL

_LAST_STATUS = """(SELECT a.status FROM _attempts a WHERE a.host_id = u.host_id AND a.seq = u.seq
                   ORDER BY a.id DESC LIMIT 1)"""
#: What is broken: URLs that answered 4xx, or failed, but for those that we did not ask because their address is not
#: public, with the page they were found on. Two conditions say nothing new; by them SQLite knows the indices of what
#: is not ok. What failed may have a page of an earlier visit, which is none of an error: then its last try says the
#: status.
BROKEN: Final = f"""
    SELECT h.host || u.target AS url, p.status, u.reason, u.error, u.via_host_id, u.via_seq
    FROM _pages p CROSS JOIN _urls u ON {LATEST_OF_URL}
    JOIN _hosts h ON h.id = u.host_id
    WHERE p.status <> 200 AND p.status >= 400 AND u.state = 'done'
    UNION ALL
    SELECT h.host || u.target, iif(p.status >= 400, p.status, {_LAST_STATUS}), u.reason, u.error, u.via_host_id,
           u.via_seq
    FROM _urls u JOIN _hosts h ON h.id = u.host_id LEFT JOIN _pages p ON p.id = u.page
    WHERE u.reason <> 'ok' AND u.state = 'failed' AND u.reason <> 'blocked-address'"""  # noqa: S608  (our own names)

# Each link of each page, in scope or not: the page it stands on, where it leads, its text, its rel.
_LINKS: Final = """
SELECT p.url AS source, json_extract(link.value, '$.url') AS url, json_extract(link.value, '$.text') AS text,
       json_extract(link.value, '$.rel') AS rel
FROM pages p, json_each(p.links) link"""
# What was asked and gave no page, or one with a status of 400 or more, once for each page that links or redirects
# to it: one pass over the pages' links. A seed has a row of its own, without a source.
_BROKEN_LINKS: Final = f"""
WITH broken AS MATERIALIZED ({BROKEN})
SELECT b.url, b.status, b.reason, b.error, NULL AS source, NULL AS text FROM broken b WHERE b.via_host_id IS NULL
UNION ALL
SELECT b.url, b.status, b.reason, b.error, h.host || u.target, nullif(l.value ->> 'text', '')
FROM _pages p CROSS JOIN json_each(p.links) l CROSS JOIN broken b ON b.url = l.value ->> 'url'
CROSS JOIN _urls u ON {LATEST_OF_URL}
CROSS JOIN _hosts h ON h.id = p.host_id
WHERE p.links IS NOT NULL
UNION ALL
SELECT b.url, b.status, b.reason, b.error, h.host || u.target, NULL
FROM _pages p CROSS JOIN broken b ON b.url = p.redirect_url
CROSS JOIN _urls u ON {LATEST_OF_URL}
CROSS JOIN _hosts h ON h.id = p.host_id
WHERE p.status <> 200 AND p.redirect_url IN (SELECT url FROM broken)"""  # noqa: S608  (our own text)
# Pages of status 2xx that no other page links to: seeds, and what is reached by a redirect alone.
_ORPHANS: Final = """
SELECT url, status, hop, depth, via, title FROM pages
WHERE status BETWEEN 200 AND 299 AND url NOT IN (SELECT url FROM links WHERE url <> source)"""

FEATURE: Final = Feature(views={"links": _LINKS, "broken_links": _BROKEN_LINKS, "orphans": _ORPHANS})
