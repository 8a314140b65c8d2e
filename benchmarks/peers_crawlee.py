"""The same crawl with Crawlee; run by an interpreter that has it, with PARSER CONCURRENCY OUTPUT SEED... as arguments.

PARSER is "parsel" or "beautifulsoup". One item a page (URL, title) goes to the dataset, which is exported as JSON in
the end. The HTTP client is Crawlee's default, impit. What Crawlee does by default and this site does not need is off,
where that saves it time.
"""

import asyncio
import logging
import sys

from crawlee import ConcurrencySettings
from crawlee.crawlers import BeautifulSoupCrawler, ParselCrawler
from crawlee.storage_clients import MemoryStorageClient


def make(parser, concurrency):
    return {"parsel": ParselCrawler, "beautifulsoup": BeautifulSoupCrawler}[parser](
        # Pinned, for else it begins with ten and starts nothing more while the processor is busy, as it is here.
        # Crawlee has no bound for a host: the caller gives the smaller of 64 and 16 a host.
        concurrency_settings=ConcurrencySettings(
            min_concurrency=concurrency, desired_concurrency=concurrency, max_concurrency=concurrency
        ),
        respect_robots_txt_file=True,
        # Requests and results in memory: faster than its default, a file for each.
        storage_client=MemoryStorageClient(),
        # Sessions and the search for signs of blocking help against sites that block; this one does not.
        use_session_pool=False,
        retry_on_blocked=False,
        configure_logging=False,
    )


async def main():
    parser, concurrency, output, *seeds = sys.argv[1:]
    logging.basicConfig(level=logging.ERROR)
    crawler = make(parser, int(concurrency))

    @crawler.router.default_handler
    async def handle(context):
        if parser == "parsel":
            title = context.selector.xpath("//title/text()").get()
        else:
            title = context.soup.title.string if context.soup.title else None
        await context.push_data({"url": context.request.url, "title": title})
        await context.enqueue_links(strategy="same-hostname")

    await crawler.run(seeds)
    await crawler.export_data(output)


if __name__ == "__main__":
    asyncio.run(main())
