"""The same crawl as a Scrapy spider; run by an interpreter that has Scrapy, with OUTPUT SEED... as arguments.

One item a page (URL, status, title, number of links) goes to a JSON-lines feed. Links are followed within the seeds'
hosts. What Scrapy does by default and this site does not need is off, where that saves it time.
"""

import json
import os
import sys
from urllib.parse import urldefrag, urljoin, urlsplit

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import HtmlResponse

SETTINGS = {
    # As with every contender: 64 requests in flight, 16 of them to a host, no delay, robots.txt asked for and obeyed.
    "CONCURRENT_REQUESTS": 64,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 16,
    "DOWNLOAD_DELAY": 0,
    "AUTOTHROTTLE_ENABLED": False,
    "ROBOTSTXT_OBEY": True,
    # Scrapy's page on broad crawls: no cookies, no debug log. Each costs time for every request.
    "COOKIES_ENABLED": False,
    "LOG_LEVEL": "ERROR",
    "TELNETCONSOLE_ENABLED": False,
    "REMOTE_CONTROL_ENABLED": False,
    "REFERER_ENABLED": False,
    "STATS_DUMP": False,
    # The frontier is in memory (no JOBDIR), which is faster than Scrapy's queues on disk.
}


class Pages(scrapy.Spider):
    """Follows every link, yields every page."""

    name = "pages"

    async def start(self):
        for url in self.seeds:
            yield scrapy.Request(url)

    def parse(self, response):
        if not isinstance(response, HtmlResponse):
            return
        # Plain urljoin and one request for each distinct link of a page: faster than LinkExtractor and than follow_all.
        base = response.urljoin(response.xpath("//base/@href").get(""))
        hrefs = response.xpath("//a/@href").getall()
        links = dict.fromkeys(urldefrag(urljoin(base, href.strip())).url for href in hrefs)
        yield {
            "url": response.url,
            "status": response.status,
            "title": response.xpath("//title/text()").get(),
            "links": len(hrefs),
        }
        for link in links:
            if link.startswith("http"):
                yield scrapy.Request(link)


def main():
    output, *seeds = sys.argv[1:]
    more = json.loads(os.environ.get("SCRAPY_SETTINGS", "{}"))  # of the other benchmarks
    process = CrawlerProcess({**SETTINGS, **more, "FEEDS": {output: {"format": "jsonlines"}}})
    process.crawl(Pages, seeds=seeds, allowed_domains=[urlsplit(seed).hostname for seed in seeds])
    process.start()


if __name__ == "__main__":
    main()
